"""Texts of the demo independent of circles: small talk, replies, other languages; and the stars."""

from typing import NamedTuple

WORDS: dict[str, tuple[str, ...]] = {
    "number": ("two", "three", "four", "five", "six", "seven", "nine", "eleven", "twelve", "fourteen", "23", "40"),
    "hour": ("one", "two", "three", "four", "five"),
    "extra": ("Five more", "Nine", "The whole stairwell", "Their cousins too", "Somebody's choir"),
    "relative": (
        "mother", "father", "grandmother", "grandfather", "aunt", "uncle", "sister", "brother", "nephew", "niece",
        "cousin", "mother-in-law", "godfather",
    ),
    "sound": (
        "a kettle thinking", "distant trombones", "rain on a tent", "a choir of fridges", "a very old radio",
        "somebody else's party", "two cats negotiating", "bells", "a creaky swing", "waves",
    ),
    "year": ("1987", "1994", "1999", "2003", "2007", "2010", "2012"),
    "weather": ("drizzle", "glorious sun", "a proper storm", "fog", "a warm wind", "hail, briefly", "a rainbow"),
    "drink": ("coffee", "mint tea", "chai", "cocoa", "matcha", "mate", "rooibos", "lemonade"),
    "pet": ("cat", "dog", "tortoise", "parrot", "rabbit", "goldfish", "neighbour's cat"),
    "crime": (
        "stole a sausage", "learned to open doors", "sat on the keyboard", "adopted a sock", "barked at the moon",
        "ate the shopping list", "won an argument", "fell asleep in the fruit bowl",
    ),
    "joy": (
        "an empty washing basket", "a letter with a real stamp", "the good pen", "a seat on the bus", "clean glasses",
        "a stranger who holds the door", "finding the other glove", "toast", "an afternoon without plans",
    ),
}  # fmt: skip

SMALL_TALK = (
    "{weather}, {drink}, and nowhere to be. Good {daypart}, everyone.",
    "The {pet} {crime}. Again.",
    "Small joys: {joy}. What's yours?",
    "I came into the kitchen for something. It was not {drink}, but it is now.",
    "My {relative} just discovered emoji. Pray for us 🦑🎺🧿",
    "Today's weather: {weather}. Today's mood: also {weather}.",
    "Told my {relative} about this site. She asked who 'the followers' are and if they eat with us.",
    "Whoever plays {sound} in the house opposite: thank you.",
    "Lost: one umbrella. Found: {weather}.",
    "Be kind today, somebody near you is debugging something.",
    "It's {daypart} and I have already had {number} cups of {drink}. Send help, or biscuits.",
    "Somebody smiled at me on the stairs and I will think about it for {number} years.",
    "Reminder: drink water, ring your {relative}, water the thing on the windowsill.",
    "Plot twist: {joy}.",
    "Heard {sound}, went outside, met the whole street. We should do this more often.",
    "The {pet} and I have agreed not to talk about {weather}.",
    "Does anybody else rehearse ordering {drink}?",
    "I would like to thank {friend} for {joy}. No context.",
    "Happy birthday, {friend}! {number} candles, one wish, no emails 🎂",
    "Long day. Then {joy}. All is forgiven.",
    "My {pet} has never read a terms-of-service page and is happier than all of us.",
    "Somebody in this building is learning the trombone. Somebody else is learning patience.",
    "I waved at a stranger by mistake. The stranger waved back. We are engaged now.",
    "Found a note to myself from {year}: 'remember the thing'. I did not.",
    "A list of what went well today: {joy}. {drink}. The end. A good list.",
    "Bought {drink}, got a free compliment. Tipping accordingly.",
    "The queue was so long that we became friends. See you all next week.",
    "My phone thinks I walked {number} flights of stairs. I was dancing.",
    "If you see somebody talking to a {pet}: yes, hello, that's me.",
    "Whoever invented {drink} deserves a street, a stamp and a nap.",
    "I tidied one drawer and now I'm an expert. Ask me anything: {link}",
    "Overheard on the stairs: 'I'm not late, I'm suspense.'",
    "Cried at a wedding I was only walking past. Lovely couple.",
    "New neighbour moved in. They play {sound}. I approve.",
    "There should be an award for people who return trolleys. {friend}, you'd win.",
    "Note to self: the {weather} was worth getting up for.",
)

SMALL_ANSWERS = (
    "This made my {daypart}, thank you!",
    "Ha! My {relative} says exactly the same.",
    "I feel seen.",
    "Can confirm. Signed, somebody with {number} of them.",
    "Tell me more, I have {drink} and time.",
    "😂😂😂",
    "You had me at {joy}.",
    "My {pet} {crime} when I read this aloud.",
    "Same here, but with {weather}.",
    "I laughed so loudly that the {pet} left.",
    "Counterpoint: {joy}.",
    "Framing this.",
    "Is that a threat or an invitation? I'm in either way.",
    "Writing this down for when my {relative} asks.",
    "Wait, what happened next?",
    "Congratulations! That deserves {drink}.",
    "❤️",
    "I needed that today.",
    "You're one of the good ones.",
    "Never change.",
)

REJOINDERS = (
    "Thank you! You're too kind.",
    "Ha, I knew somebody would ask.",
    "Next time you come along, then you'll see!",
    "It gets better: afterwards the {pet} {crime}.",
    "Don't encourage me 😅",
    "Deal. I bring the {drink}.",
    "Long story. It involves {sound} and {number} witnesses.",
    "Exactly! Finally somebody understands.",
    "I asked my {relative}, who says you're right.",
    "Not yet, but the {daypart} is young.",
    "Noted. Framed. Hung up next to {joy}.",
    "See? And they said nobody would care about this.",
)


class Language(NamedTuple):
    """People who mostly write in another language. `names` are (username, display name); `hours` is from UTC."""

    names: tuple[tuple[str, str], ...]
    bio: str
    hours: float
    words: dict[str, tuple[str, ...]]
    texts: tuple[str, ...]


LANGUAGES = (
    Language(
        (("layla_haddad", "ليلى حداد"), ("omar_beirut", "عمر خوري"), ("nour_reads", "نور الصباح")),
        "قهوة، كتب، وقليل من الصبر",
        3,
        {
            "a": ("القهوة", "الشاي بالنعناع", "الخبز الساخن", "الكتاب الجديد"),
            "b": ("صباح جميل", "يوم طويل", "مساء هادئ"),
        },
        (
            "{b} مع {a}. ماذا أريد أكثر من ذلك؟ ☕",
            "جدتي تقول إن {a} دواء لكل شيء، وهي على حق.",
            "من يعرف مكانا هادئا في المدينة؟ أحمل معي {a}.",
            "{b} يا أصدقاء! #صباح_الخير",
            "قرأت ثلاثين صفحة ونسيت {a} على الطاولة.",
            "القطة نامت على لوحة المفاتيح مرة أخرى. {b}.",
        ),
    ),
    Language(
        (("noa_levi", "נועה לוי"), ("amit_bikes", "עמית ברק")),
        "אופניים, ים, ותה עם נענע",
        2,
        {"a": ("הים", "השוק", "הספרייה", "הגינה"), "b": ("בוקר טוב", "ערב טוב", "שבוע טוב")},
        (
            "{b}! היום רק {a} ומנוחה.",
            "סבתא שאלה מה זה פיתון. הסברתי לה על {a} במקום.",
            "מי בא איתי אל {a}? אני מביא עוגה 🍰",
            "{b} לכולם, גם למי שעדיין מחפש את הגרב השנייה.",
            "שום דבר לא מנצח את {a} אחרי הגשם. #שקט",
        ),
    ),
    Language(
        (("parisa_teh", "پریسا رضایی"), ("dariush_k", "داریوش کیانی")),
        "چای، شعر، و گربه‌ای به نام پنبه",
        3.5,
        {"a": ("چای", "نان تازه", "باران", "کتاب حافظ"), "b": ("صبح بخیر", "عصر بخیر", "شب خوش")},
        (
            "{b}! {a} و کمی سکوت، همین کافی است.",
            "پنبه باز روی {a} خوابید 🐈",
            "مادربزرگم می‌گوید {a} درمان هر دردی است.",
            "امروز فقط {a}. فردا را فردا می‌بینیم. #آرامش",
        ),
    ),
    Language(
        (("yuki_tanaka", "田中ゆき"), ("haruto_synth", "佐藤陽翔"), ("mei_bakes", "小林芽衣")),
        "パンと電車と猫",
        9,
        {"a": ("パン", "電車", "猫", "シンセ", "抹茶"), "b": ("おはようございます", "こんばんは", "お疲れさまです")},
        (
            "{b}。今日は{a}の日にします。",
            "{a}のことばかり考えて、駅を一つ乗り過ごしました🚃",
            "祖母が{a}の写真を送ってきた。かわいい。",
            "雨の音と{a}。それだけでいい。",
            "{b}!{a}が好きな人、手を挙げて🙋 #ひとりごと",
        ),
    ),
    Language(
        (("jiwoo_park", "박지우"), ("minseo_runs", "김민서")),
        "커피 두 잔, 산책 한 번",
        9,
        {"a": ("커피", "자전거", "떡볶이", "새 노래"), "b": ("좋은 아침", "수고했어요", "잘 자요")},
        (
            "{b}! 오늘은 {a} 생각뿐이에요.",
            "할머니가 {a}는 언제나 옳다고 하셨어요 😊",
            "{a} 때문에 버스를 놓쳤다. 후회는 없다.",
            "비 오는 날엔 역시 {a}. #일상",
        ),
    ),
    Language(
        (("xiaomei_li", "李小梅"), ("wang_yun", "王云"), ("chen_hao_stars", "陈浩")),
        "看星星的人",
        8,
        {"a": ("星星", "豆浆", "自行车", "下雨天", "旧书"), "b": ("早上好", "晚安", "大家好")},
        (
            "{b}!今天适合{a}。",
            "奶奶说,{a}能治百病。",
            "为了{a}我今天迟到了五分钟,值得。",
            "猫又把我的{a}藏起来了🐱 #日常",
            "谁也喜欢{a}?请举手。",
        ),
    ),
    Language(
        (("ananya_rao", "अनन्या राव"), ("rohan_chai", "रोहन मेहता")),
        "चाय पर चर्चा",
        5.5,
        {"a": ("चाय", "बारिश", "पुरानी किताब", "दादी का अचार"), "b": ("सुप्रभात", "शुभ संध्या", "नमस्ते")},
        (
            "{b}! आज बस {a} और थोड़ी धूप।",
            "दादी कहती हैं, {a} से सब ठीक हो जाता है।",
            "{a} के चक्कर में बस छूट गई। कोई बात नहीं 😄",
            "किसको {a} पसंद है? #रोज़ाना",
        ),
    ),
    Language(
        (("eleni_pap", "Ελένη Παπαδάκη"), ("nikos_thalassa", "Νίκος Δήμου")),
        "Θάλασσα, καφές, και πάλι θάλασσα",
        2,
        {"a": ("η θάλασσα", "ο καφές", "το ποδήλατο", "η βροχή"), "b": ("Καλημέρα", "Καλησπέρα", "Καλή εβδομάδα")},
        (
            "{b}! Σήμερα μόνο {a}, τίποτα άλλο.",
            "Η γιαγιά λέει πως {a} κάνει καλό σε όλα.",
            "Ό,τι κι αν γίνει, μένει {a} 🌊",
            "Ποιος άλλος σκέφτεται πως {a} είναι ποίημα; #σκέψεις",
        ),
    ),
    Language(
        (("oksana_kyiv", "Оксана Мельник"), ("taras_velo", "Тарас Коваль")),
        "Вишні, велосипед і трохи коду",
        2,
        {"a": ("вишні", "велосипед", "дощ", "бабусин борщ"), "b": ("Доброго ранку", "Добрий вечір", "Гарного дня")},
        (
            "{b}! Сьогодні в планах тільки {a}.",
            "Бабуся каже, що {a} лікує все. Вірю 🌻",
            "Кіт знову вирішив, що {a} — це його.",
            "Хто зі мною? {a} і розмови до ночі. #будні",
        ),
    ),
    Language(
        (("lucia_campos", "Lucía Campos"), ("mateo_sur", "Mateo Quispe"), ("ximena_lee", "Ximena Rojas")),
        "Mate, montaña y malos chistes",
        -4,
        {
            "a": ("el mate", "la siesta", "un libro prestado", "la bici", "el pan de mi abuela"),
            "b": ("Buenos días", "Buenas noches", "Buenas tardes"),
        },
        (
            "{b}. Hoy solo {a} y nada más.",
            "Mi abuela dice que {a} lo cura todo. No discuto con mi abuela.",
            "El gato me robó {a}. Otra vez 🐈",
            "¿Quién más piensa que {a} merece un monumento? #pensamientos",
            "Llegué tarde por culpa de {a}. Valió la pena.",
        ),
    ),
    Language(
        (("joao_mar", "João Ribeiro"), ("camila_nuvem", "Camila Nogueira")),
        "Café, chuva e samba baixinho",
        -3,
        {
            "a": ("o café", "a chuva", "o bolo de fubá", "aquela canção", "a bicicleta"),
            "b": ("Bom dia", "Boa noite", "Boa tarde"),
        },
        (
            "{b}! Hoje só {a} e paz.",
            "Minha avó diz que {a} resolve tudo. E resolve ❤️",
            "Perdi o ônibus por causa de {a}. Faria de novo.",
            "Quem mais ama {a}? #cotidiano",
        ),
    ),
    Language(
        (("greta_ohm", "Greta Öhm"), ("jonas_gleis", "Jonas Weiß")),
        "Brot, Bahn und Balkon",
        1,
        {
            "a": ("ein Butterbrot", "der Regionalzug", "mein Balkon", "das Freibad"),
            "b": ("Guten Morgen", "Guten Abend", "Mahlzeit"),
        },
        (
            "{b}! Heute zählt nur eins: {a}.",
            "Oma sagt, {a} hilft gegen alles. Oma hat recht.",
            "Was wäre das Leben ohne … Moment: {a}. Ach, schön.",
            "Verspätung: zwölf Minuten. Trost: {a} 🚆 #unterwegs",
        ),
    ),
    Language(
        (("elif_kaya", "Elif Kaya"),),
        "Çay, kedi, vapur",
        3,
        {"a": ("çay", "simit", "vapur", "bir kedi", "yağmur"), "b": ("Günaydın", "İyi akşamlar", "Kolay gelsin")},
        (
            "{b}! Bugün sadece {a} ☕ Yarın bakarız.",
            "Anneannem diyor ki: önce {a}, sonra dünya. #günlük",
            "{a} yüzünden geç kaldım. Pişman değilim.",
            "Başka kim {a} deyince gülümsüyor?",
        ),
    ),
    Language(
        (("amelie_du_bois", "Amélie Dubois"), ("bastien_velo", "Bastien Roche")),
        "Vélo, boulot, gâteau",
        1,
        {
            "a": ("un croissant", "la pluie", "le vélo", "une tarte aux prunes", "le dernier métro"),
            "b": ("Bonjour", "Bonsoir", "Bonne nuit"),
        },
        (
            "{b} ! {a}, et c'est tout ce qu'il me faut.",
            "Ma grand-mère dit toujours : d'abord {a}, ensuite les soucis.",
            "En retard à cause de ceci : {a}. Aucun regret.",
            "Qui d'autre pense que {a} mérite un poème ? #pensées",
        ),
    ),
)


class Star(NamedTuple):
    """A famous person. `fame` is a weight of followers, `pace` tweets a day."""

    username: str
    name: str
    bio: str
    fame: int
    pace: float
    words: dict[str, tuple[str, ...]]
    texts: tuple[str, ...]
    tag: str = ""


STARS = (
    Star(
        "TheDailyCrumb",
        "The Daily Crumb",
        "Small news, freshly baked. A newsroom of four and a toaster. Corrections: often.",
        400,
        14,
        {
            "place": (
                "the harbour",
                "the town hall",
                "the old cinema",
                "the night market",
                "platform 3",
                "the public library",
            ),
            "event": (
                "has reopened after {number} months",
                "is closed for a wedding",
                "got a new roof",
                "has a queue around the block",
                "was painted overnight, nobody knows by whom",
                "will stay open until midnight",
                "lost and found its own key",
            ),
            "who": (
                "A retired postman",
                "A class of nine-year-olds",
                "The mayor's dog",
                "A choir",
                "A lost tourist",
                "{number} volunteers",
            ),
            "deed": (
                "counted every bench in town",
                "found a {year} time capsule",
                "won the soup competition",
                "returned a library book from {year}",
                "taught a crow to queue",
                "planted {number} hundred tulips",
                "fixed the clock tower",
            ),
        },
        (
            "BREAKING: {place} {event}. {link}",
            "{who} {deed}. We have questions. {link}",
            "UPDATE: yes, {place} really {event}. Photos: {link}",
            "Weather for the {daypart}: {weather}. Bring a friend.",
            "Correction: it was not {who} at {place}. It was the other one. We regret the error.",
            "Good news of the {daypart}: {who} {deed}.",
            "Poll: should {place} have a cat? Answer below, we publish everything polite.",
            "Interview: '{joy} changed my life', says the person who {deed} {link}",
        ),
    ),
    Star(
        "otter_facts",
        "Otter Facts 🦦",
        "One fact about otters at a time. Some are true.",
        260,
        6,
        {
            "fact": (
                "hold hands while they sleep",
                "have a favourite stone and a pocket for it",
                "have never once missed a deadline",
                "think that you're doing fine",
                "count to {number} and then guess",
                "would read your pull request with care",
                "invented sliding",
                "are mostly {drink} by volume",
                "don't reply to all",
                "applaud silently when you park well",
            )
        },
        (
            "Otters {fact}.",
            "Fact: otters {fact}.",
            "Did you know? Otters {fact}. #otters",
            "Otters {fact}. Go on then, {daypart} is waiting.",
        ),
    ),
    Star(
        "captain_ada",
        "Captain Ada Okonkwo",
        "Ferry captain. Poems between two shores. I wave back.",
        180,
        7,
        {"sea": ("flat as a table", "telling jokes", "in a mood", "full of stars", "the colour of tea", "listening")},
        (
            "The sea is {sea} this {daypart}.",
            "Passengers today: {number} bicycles, one cello, {number} nuns, a goat with a ticket.",
            "Crossing number {number} thousand. The sea was {sea}. I said thank you, as always.",
            "Short poem: the sea is {sea} / the tea is hot / everybody gets there / in the end",
            "A child asked me who drives at night. 'The sea,' I said. 'I only hold the wheel.'",
            "To whoever left {joy} on the upper deck: it's at the ticket desk.",
        ),
    ),
    Star(
        "hannah_types",
        "Hannah Lindqvist",
        "I post too much and mean all of it. 57 tabs open.",
        60,
        30,
        {
            "tab": (
                "tab 12 is a recipe",
                "tab 31 is playing {sound}",
                "tab 44 is my own profile",
                "tab 7 is 'how to close tabs'",
                "tab 56 is a map of {number} lakes",
            )
        },
        (
            "Update nobody asked for: {tab}.",
            "ok so {tab}, and I am not sorry",
            "thread? no. vibe: {joy}",
            "Live from my desk: {weather}, {drink}, chaos.",
            "me: early night. also me, {number} hours later: {tab}",
            "The {pet} {crime} and now it's content",
            "hot take: {joy}",
            "cold take: {drink}",
            "{friend} look away I'm about to post about {joy} again",
            "cups of {drink} so far: {number}",
            "is it {daypart} already??",
            "thinking about {sound}. that's it. that's the tweet",
            "my {relative} follows me now so: hello! I eat vegetables!",
        ),
    ),
    Star(
        "quietbot",
        "quietbot",
        "beep. a calm bot. every few hours something soft.",
        120,
        5,
        {
            "soft": (
                "moss",
                "a sleeping {pet}",
                "steam over {drink}",
                "the second page of a new notebook",
                "a lit window far away",
                "snow on a postbox",
            )
        },
        (
            "{soft}.",
            "· {soft} ·",
            "imagine {soft}. good. carry on.",
            "{daypart} check: unclench your jaw. think of {soft}.",
            "beep. {soft}. beep.",
        ),
    ),
    Star(
        "abuelo_python",
        "Abuelo Joaquín 🐍",
        "81. Learned Python last year. My grandson reviews my code, strictly.",
        150,
        5,
        {
            "code": (
                "a for loop",
                "my first decorator",
                "a dictionary of all my roses",
                "a script that reminds me to rest",
                "an alarm for the {relative}'s soup",
            )
        },
        (
            "Today I wrote {code}. It ran the first time, so I checked it {number} times. #python",
            "In {year} I repaired radios. Now I repair {code}. The smell is different, the joy is the same.",
            "My grandson says {code} is 'not idiomatic'. I say he is not taller than me yet.",
            "Question for the young people: does {code} need tests if I watch it while it runs?",
            "{friend}, thank you for explaining {code}. I have baked you a cake in return.",
        ),
    ),
)

# Tweets of and about the account to sign in with: (hours before the end of the window, text).
DEMO_BIO = "Just here to look around."
DEMO_TWEETS = (
    (137.0, "Hello, is this thing on?"),
    (136.2, "Day one. I follow forty people and already know everything about otters. Thank you, @otter_facts."),
    (113.5, "Does anybody have a recipe for bread that forgives?"),
    (90.3, "The bread forgave me. It looks like a small planet, and I love it."),
    (66.1, "Learned what fan-out on write means. Told my plants. They were polite about it. #python"),
    (55.4, "مرحبا, שלום, こんにちは, Γεια σας and hello: how do you say 'otter' where you are?"),
    (42.7, "Small joys: a timeline that's in order. What's yours?"),
    (29.9, "Saw Saturn through a stranger's telescope. It is really there 🪐"),
)
DEMO_MENTIONS = (
    (135.5, "Welcome @{demo}! Help yourself to {drink}."),
    (112.0, "@{demo} we're feeding the ducks this {daypart}, come along if you like"),
    (88.0, "Everyone say hello to @{demo}, who bakes small planets 🪐🥖"),
    (64.0, "@{demo} your plants told mine about fan-out. Mine want an index now."),
    (41.0, "Following @{demo} for the otters, staying for the bread."),
    (31.0, "If @{demo} can bake, so can my {relative}. Lesson starts in {number} minutes."),
    (28.0, "@{demo} it was my telescope! Clear skies tomorrow, bring {drink}."),
    (25.0, "Small joys, as @{demo} says: {joy}."),
)
