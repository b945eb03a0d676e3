"""The topics of the demo's people: circles of friends with a common hobby or job.

A word in braces is drawn from the circle's words, or from the common words (`talk.WORDS`).
"""

from typing import NamedTuple


class Circle(NamedTuple):
    """People with a common interest. `share` is their number relative to the other circles."""

    key: str
    share: int
    bios: tuple[str, ...]
    words: dict[str, tuple[str, ...]]
    texts: tuple[str, ...]
    answers: tuple[str, ...]
    nocturnal: bool = False


BAKERS = Circle(
    "bakes",
    11,
    (
        "Flour in the keyboard since {year}.",
        "Sourdough, mostly. Patience, occasionally.",
        "I was told there would be cake, so I made it.",
        "Feeding a starter, two children and a cat, in that order.",
        "Amateur baker, professional taster 🥐",
        "Croissants are just architecture you can eat.",
    ),
    {
        "bread": (
            "rye",
            "focaccia",
            "sourdough",
            "brioche",
            "challah",
            "barbari",
            "baguette",
            "soda bread",
            "milk bread",
        ),
        "starter": ("Clint Yeastwood", "Doughlores", "Bread Pitt", "Sir Rise-a-lot", "Vincent van Dough", "Gluten Tag"),
        "flop": ("a doorstop", "a frisbee", "modern art", "a small planet", "evidence", "a geological sample"),
        "spice": ("cardamom", "saffron", "nigella", "orange zest", "black sesame", "burnt butter"),
    },
    (
        "Today's {bread} came out like {flop}. We ate it anyway. #baking",
        "My starter is called {starter} and has a better social life than me.",
        "Put {spice} in the {bread}. No regrets. #baking",
        "Question for the {daypart}: is {number} loaves of {bread} too many for one household?",
        "{starter} doubled in {number} hours. I have never been so proud of anything I forgot on a shelf.",
        "The smell of {bread} at this hour should be a public service.",
        "My {relative} says my {bread} needs more salt. They are right. They are always right.",
        "Recipe said {number} minutes. Recipe had never met my oven. #bakingfail",
        "I do not have a problem with {bread}. I have a solution with butter.",
        "Wrote down my {bread} recipe at last, with {spice}: {link}",
        "Traded {number} rolls for a jar of {friend}'s jam. This is the economy now.",
        "Shaping {bread} while listening to {sound}. Ten out of ten {daypart}.",
        "If anybody needs {starter} offspring, I have {number} jars and no more fridge.",
        "The neighbour returned my tin with {spice} in it. This is how friendships start.",
        "{friend}, your {bread} tip worked! The crumb! The crust! I may cry a little 🥖",
        "Dropped the {bread}. The dog is calling it the best {daypart} of her life.",
    ),
    (
        "Longer and colder, that's the whole secret of {bread}.",
        "Try it with {spice}. You can send me the thanks by post.",
        "Mine looks like {flop} every single time, you're fine!",
        "{starter} sends regards to yours.",
        "Save me a slice? I can be there in {number} minutes.",
        "That crumb! Teach me.",
    ),
)

CYCLISTS = Circle(
    "rides",
    11,
    (
        "Slow up, fast down.",
        "Commutes by bike, complains about headwind.",
        "The correct number of bikes is n + 1.",
        "Will ride for cake 🚲",
        "Touring with too many bags since {year}.",
        "I brake for dogs, geese and coffee.",
    ),
    {
        "road": (
            "the canal path",
            "the old railway",
            "the hill behind the dairy",
            "the coast road",
            "the ring road",
            "the forest track",
        ),
        "part": ("derailleur", "front brake", "saddle", "dynamo light", "left pedal", "bottom bracket"),
        "beast": (
            "a goose",
            "three sheep",
            "a very calm heron",
            "somebody's escaped tortoise",
            "a fox",
            "a dachshund in a basket",
        ),
    },
    (
        "{number} km on {road}, headwind both ways. How? #cycling",
        "Met {beast} on {road}. It did not yield.",
        "My {part} makes a noise like {sound}. It stops whenever a mechanic listens.",
        "Flat tyre number {number} this month. I am starting to know people by their pumps.",
        "There is no weather so bad that {road} doesn't look better from a bicycle. #cycling",
        "Fixed the {part} with a zip tie and confidence.",
        "Group ride this {daypart}: meet at the fountain, {number} km, nobody is left behind, cake is mandatory.",
        "Somebody left a note on my bike: 'nice {part}'. It made my whole week.",
        "New personal best on {road}! Beaten by my {relative} on a city bike, but still.",
        "The new bike lane on {road} is open and I rode it {number} times just because. #bikelane",
        "I carry {number} spare tubes so that I never need one. It's called insurance by superstition.",
        "{friend} convinced me that {road} is flat. {friend} is no longer allowed to plan routes 😅",
        "Photos of {road} at sunrise: {link}",
        "Passed a child on {road} who shouted 'faster!'. So I went faster.",
        "Rain jacket verdict after {number} km: it keeps the rain in.",
    ),
    (
        "Headwind builds character. I have enough character now, thank you.",
        "Check the {part} first. It's always the {part}.",
        "Next time take {road}, it's worth it.",
        "Wave when you come past, I'm the one walking uphill.",
        "I'd have stopped for {beast} too.",
        "Same! {number} km and my legs have filed a complaint.",
    ),
)

BIRDERS = Circle(
    "birds",
    10,
    (
        "Birds, tea, birds.",
        "I can tell {number} warblers apart and none of my cousins.",
        "Patch birder. The patch is a car park, and it is glorious.",
        "Looking up since {year} 🐦",
        "Counting swifts so that you don't have to.",
    ),
    {
        "bird": (
            "kingfisher",
            "goldcrest",
            "hoopoe",
            "barn owl",
            "wren",
            "black redstart",
            "waxwing",
            "lapwing",
            "bee-eater",
            "nuthatch",
        ),
        "spot": (
            "the reed bed",
            "the supermarket roof",
            "the sewage works",
            "the third lamp post",
            "the allotment",
            "the harbour wall",
        ),
        "mood": ("smug", "furious", "like it pays rent here", "mildly disappointed in us", "like a tiny landlord"),
    },
    (
        "A {bird} at {spot}! I said a word that my binoculars had not heard before. #birding",
        "The {bird} at {spot} looked {mood} this {daypart}.",
        "{number} species before breakfast. Personal best for {spot}.",
        "Waited {number} hours for the {bird}. It came when I opened the sandwiches.",
        "Everyone wants the {bird}. Nobody appreciates the pigeon. I appreciate the pigeon. #birding",
        "My {relative} rang to describe a 'weird sparrow'. It was a {bird}. I am not jealous. I am fine.",
        "Sound on: the {bird} at {spot} sings like {sound}. {link}",
        "The feeder is empty and a {bird} is looking at me through the window, {mood}.",
        "Found {number} nest boxes in the shed. Somebody is going to have a good spring.",
        "If you hear {sound} near {spot}, don't worry, that is a {bird}.",
        "Counted {bird}s at {spot} for the survey: {number}. Last year none!",
        "{friend} and I sat at {spot} for {number} hours and saw one {bird} and a shopping trolley. Perfect {daypart}.",
        "Life hack: every walk is a success if you count {bird}s AND coots.",
    ),
    (
        "A {bird}! At this time of year? Lucky you.",
        "Are you sure it wasn't a {bird}? (I'm always sure it wasn't.)",
        "I'll be at {spot} in {number} minutes. Don't let it leave.",
        "Mine looks {mood} too. It's the light.",
        "Added to my list of things to be jealous of.",
        "Pigeons deserve this energy as well 🐦",
    ),
)

SYNTHS = Circle(
    "synth",
    9,
    (
        "Turning knobs until it sounds worse.",
        "{number} cables, one melody.",
        "Modular. Send rack ears.",
        "Makes music nobody asked for, with love.",
        "My filter is open, my door rarely.",
    ),
    {
        "gear": (
            "drum machine",
            "ring modulator",
            "tape delay",
            "spring reverb",
            "sequencer",
            "wavefolder",
            "thrift-shop organ",
        ),
        "result": (
            "a whale in a lift",
            "rain on a tin roof",
            "a dial-up modem in love",
            "bees, but polite",
            "a haunted ice-cream van",
        ),
    },
    (
        "Patched the {gear} into itself. It sounds like {result}. Keeping it. #synth",
        "{number} hours on one kick drum. It is a good kick drum.",
        "The {gear} is older than me and in better shape.",
        "New track, mostly {gear}, recorded in the bathroom: {link} #synth",
        "My neighbours asked what I do at night. I said: {result}. They nodded.",
        "Sold the {gear}, missed the {gear}, bought the {gear} back for more. A love story.",
        "Tuned to {sound} and it turns out the fridge hums in B flat.",
        "Anybody else name their patches? Today's is '{result}'.",
        "I don't need another {gear}. But does the {gear} need me?",
        "Broke a cable, found {number} more behind the sofa. The system works.",
        "Jam with {friend} this {daypart}: two {gear}s, no plan, {number} minutes that were actually good.",
        "Sampled my {relative}'s laugh through the {gear}. It is now the bass line.",
        "Saved over the best thing I ever made. It sounded like {result}. It was beautiful.",
    ),
    (
        "That needs more {gear}.",
        "It sounds like {result}, and I mean that kindly.",
        "What's on the left channel? It gave me goosebumps.",
        "Please never fix that hum.",
        "Would you lend me the {gear}? I'd bring it back. Probably.",
    ),
)

GARDENERS = Circle(
    "grows",
    11,
    (
        "Balcony farmer. Yield: {number} tomatoes.",
        "I talk to plants. They have notes.",
        "Compost is a lifestyle 🌱",
        "Allotment 14b, behind the big rhubarb.",
        "Soil under the nails, seeds in every pocket.",
    ),
    {
        "plant": (
            "courgette",
            "chilli",
            "sweet pea",
            "fig tree",
            "basil",
            "runner bean",
            "dahlia",
            "lemon tree",
            "pumpkin",
        ),
        "pest": (
            "slugs",
            "snails",
            "the neighbour's cat",
            "one very confident pigeon",
            "aphids",
            "a mole called Gerald",
        ),
        "place": ("windowsill", "balcony", "allotment", "greenhouse", "bathtub on the roof"),
    },
    (
        "The {plant} on the {place} has {number} flowers and an attitude. #gardening",
        "Slept badly, got up, apologised to the {plant}.",
        "{pest} 1, {plant} 0. #gardening",
        "Free {plant} to a good home. Please. I planted {number}.",
        "I moved the {plant} to the {place} and now it sulks.",
        "My {relative} said you can't grow a {plant} here. Exhibit A: {link}",
        "Watering {daypart}s are my meditation. My knees disagree.",
        "Harvest report: {number} grams of {plant}, each worth its weight in gold.",
        "The secret of a good {plant} is neglect with occasional panic.",
        "Made a truce with {pest}: they get the left half of the {place}.",
        "{friend} gave me {number} seeds of something and won't say what. It's up. It's huge.",
        "Smelled rain, ran out, brought in the washing, left the {plant} to enjoy it.",
        "Current status of the {place}: {plant}, {plant}, mystery, {pest}.",
    ),
    (
        "More water. No, less. It's a {plant}, nobody knows.",
        "Mine got eaten by {pest}. Condolences to both of us.",
        "Do you have seeds left? I can offer {number} dahlias.",
        "Put it on the {place}, they love a change of scene.",
        "That is the healthiest {plant} I have seen all year!",
    ),
)

PYTHON = Circle(
    "python",
    13,
    (
        "It works on my machine. Ship the machine.",
        "Python, Postgres and a plant that won't die.",
        "I read changelogs for fun.",
        "Maintainer of three small libraries and one large regret.",
        "Backend person. I centre divs in my dreams.",
        "Naming things since {year}.",
    ),
    {
        "thing": (
            "cache",
            "queue",
            "migration",
            "regex",
            "decorator",
            "cron job",
            "timezone bug",
            "outbox",
            "test suite",
            "WSGI server",
        ),
        "bug": (
            "an off-by-one",
            "a comma",
            "daylight saving time",
            "a default argument",
            "my own clever comment from {year}",
            "a trailing space",
        ),
        "tool": ("print()", "git bisect", "EXPLAIN ANALYZE", "a rubber duck", "pdb", "a whiteboard", "a long walk"),
    },
    (
        "Spent {number} hours on a {thing}. It was {bug}. It is always {bug}. #python",
        "Best debugger I know: {tool}. #python",
        "Deleted {number} lines today and the {thing} got faster. Best feeling there is.",
        "There are two hard problems: naming the {thing}, and finding whoever named the {thing}.",
        "The {thing} is down. The person who wrote the {thing} is on a boat. I am the person. Nice boat.",
        "Reviewed {friend}'s pull request and learned three things. This is why we do it.",
        "Wrote up how our {thing} survived {number} million rows: {link} #python",
        "TIL that {bug} can survive {number} code reviews.",
        "My {relative} asked what a {thing} is. I explained it so well that I finally understood it.",
        "Fan-out on write, fan-out on read, fan on desk because it's hot.",
        "The {thing} passes on my laptop, in CI, and on the moon. In production: {bug}.",
        "Unpopular opinion: the {thing} was fine. We just needed an index.",
        "Pairing on the {thing} with {friend} this {daypart}. Bring {tool}.",
        "Green build after {number} tries. I changed nothing. I'm going home. #python",
        "A good error message is a love letter to somebody tired.",
        "EuroPython taught me more in the corridor than {tool} ever could.",
    ),
    (
        "Have you tried {tool}?",
        "I bet it's {bug}.",
        "Our {thing} did exactly that! In the end it was {bug}.",
        "Please write this up, I'd read {number} pages of it.",
        "An index. The answer is always an index.",
        "Works for me, closing. (Sorry. Reflex.)",
        "The {thing} giveth and the {thing} taketh away.",
    ),
)

ASTRONOMERS = Circle(
    "stars",
    8,
    (
        "Clear skies, cold feet.",
        "Small telescope, large thermos ✨",
        "Somewhere under a cloud, looking up.",
        "I know the way by Cassiopeia and still get lost in supermarkets.",
    ),
    {
        "object": (
            "Saturn",
            "the Ring Nebula",
            "Andromeda",
            "Jupiter's red spot",
            "the Pleiades",
            "a Perseid",
            "the space station",
            "Albireo",
        ),
        "obstacle": (
            "a cloud shaped like my boss",
            "the neighbour's floodlight",
            "dew",
            "a hedgehog in the cable box",
            "fog",
            "my own breath",
        ),
    },
    (
        "Saw {object} for {number} seconds before {obstacle} arrived. Worth it. #astronomy",
        "Forecast: clear. Reality: {obstacle}.",
        "Showed {object} to my {relative} through the telescope. Silence, and then: 'it is really there'.",
        "{number} frames of {object} stacked: {link} #astronomy",
        "Light left {object} long before me, and still arrived earlier than the bus.",
        "Packing list: eyepieces, gloves, {number} biscuits, hope.",
        "If you are awake: look south. {object}. You're welcome.",
        "Tonight's enemy of science: {obstacle}.",
        "Public stargazing with {friend}: {number} visitors, one {object}, many gasps.",
        "I polished the mirror and now {object} looks exactly as blurry, but cleaner.",
        "Somebody asked what {object} is good for. Well. Look at it.",
    ),
    (
        "Clouds here. Describe {object} to me, slowly.",
        "Which eyepiece? Mine only ever shows {obstacle}.",
        "I saw it too! Same sky, hello from the other side.",
        "{number} frames? You have the patience of a planet.",
    ),
    nocturnal=True,
)

NURSES = Circle(
    "nights",
    8,
    (
        "Nights. Coffee. Compression socks.",
        "Nurse. My circadian rhythm is free jazz.",
        "Ward 6, somewhere between midnight and toast.",
        "I have seen things. Mostly call buttons.",
    ),
    {
        "snack": (
            "cold pizza",
            "the last custard cream",
            "somebody's birthday cake",
            "instant noodles",
            "vending-machine crisps",
            "my {relative}'s dumplings",
        ),
        "moment": (
            "a patient sang for the whole corridor",
            "bed 4 proposed to bed 5's granddaughter",
            "the lift worked",
            "nobody said the Q word",
            "a newborn sneezed and we all melted",
        ),
    },
    (
        "{hour} in the morning and {moment}. I love this job.",
        "Dinner at {hour} a.m.: {snack}. Chef's kiss. #nightshift",
        "Nobody warned me how beautiful the car park is at dawn. #nightshift",
        "Steps tonight: {number} thousand. Sits tonight: one, brief.",
        "Shout-out to {friend} who saved me {snack}. A hero in clogs.",
        "Highlight of the shift: {moment}.",
        "Going to bed as the bakery opens. The smell! The injustice!",
        "My {relative} thinks I am 'just getting up' at {number} p.m. I am getting up at {hour} p.m.",
        "To whoever labelled {snack} 'DO NOT EAT': I respected it. Barely.",
        "Black-out curtains are the great invention of our age, before fire.",
        "Handover done. Sun is up. Good night, everybody.",
    ),
    (
        "Rest well, you've earned it.",
        "Save me {snack}, I'm on until seven.",
        "Same here, and then {moment}!",
        "Hydrate! (She said, holding the fourth coffee.)",
    ),
    nocturnal=True,
)

READERS = Circle(
    "reads",
    9,
    (
        "One more chapter.",
        "Librarian. Yes, I have read it. No, no spoilers.",
        "My to-read pile has planning permission.",
        "Poems on trains.",
    ),
    {
        "book": (
            "the one with the lighthouse",
            "a {number}-page family saga",
            "a book of letters",
            "a whodunnit set in a bakery",
            "an atlas of islands",
            "a novel without the letter e",
        ),
        "where": (
            "the night bus",
            "the bath",
            "a bench with pigeons",
            "the dentist's waiting room",
            "the kitchen floor",
        ),
    },
    (
        "Finished {book} on {where}. Missed my stop, no regrets. #reading",
        "Started {book} at {hour} p.m. 'to get sleepy'. Finished it.",
        "The library lent me {book} with somebody's shopping list inside: {number} eggs, candles, 'courage'.",
        "Bought a bookshelf for the books. Bought books for the bookshelf. #reading",
        "Overheard at {where}: 'I don't read, I re-read.' Iconic.",
        "Book club verdict on {book}: {number} in favour, one in tears.",
        "My {relative} reads the last page first. We love each other anyway.",
        "A list of {number} short books for long trains: {link}",
        "There is a cat in the library and it has chosen {book}.",
        "{friend} lent me {book} with notes in the margin, and the notes are better.",
        "Reading {book} aloud to nobody on {where}. Somebody clapped.",
    ),
    (
        "Adding it to the pile. The pile creaked.",
        "Does the dog survive? I need to know first.",
        "I read it on {where} and wept with dignity.",
        "If you liked that, try {book}.",
    ),
)

TRAINS = Circle(
    "trains",
    7,
    (
        "Window seat, direction of travel.",
        "I collect departure boards.",
        "Delayed, but in good company 🚆",
        "Knows the timetable, not the birthday.",
    ),
    {
        "train": (
            "the 6:52",
            "the sleeper",
            "a railbus",
            "the slow train along the river",
            "tram line {number}",
            "the last ferry train",
        ),
        "reason": ("leaves", "a swan", "'a train in front of us'", "a signal that felt shy", "joy"),
    },
    (
        "{train} is {number} minutes late because of {reason}. #trains",
        "Nothing heals like {train}, a window and {sound}.",
        "The conductor of {train} announced a sunset. We all looked. #trains",
        "Shared my table on {train} with a chess player. Lost in {number} moves.",
        "Crossed {number} borders on {train} and only the sandwiches changed.",
        "My {relative} waved from the platform until {train} was a dot. So was I, a bit.",
        "Booked {train} with {friend}: {number} hours, one bag each, no plan.",
        "Station clock photographs, volume {number}: {link}",
        "Model railway news: {train} now stops at the bookshelf.",
        "If {train} were a person I'd invite it for dinner.",
    ),
    (
        "{reason} again! Classic.",
        "{train} is the best one, sit on the left.",
        "Say hello to the river for me.",
        "{number} minutes is on time with feelings.",
    ),
)

POTTERS = Circle(
    "makes",
    8,
    (
        "Mugs with opinions.",
        "Clay, glaze, hope, kiln, tears, mug.",
        "Knits in meetings. Meetings improved.",
        "I fix chairs. Sit with me.",
    ),
    {
        "piece": ("mug", "teapot", "bowl", "vase", "salad spoon", "three-legged stool", "left sock", "quilt"),
        "colour": ("celadon", "a blue I can't repeat", "accidental pink", "moss", "the exact grey of the sea"),
    },
    (
        "Opened the kiln: the {piece} is {colour}. I gasped. #handmade",
        "Every {piece} I make for myself ends up with my {relative}.",
        "{number} hours on a {piece}, {number} seconds to drop it. It has gold seams now.",
        "This {piece} leans a little. So do I. #handmade",
        "Market day with {friend}: sold {number} {piece}s, bought four cheeses.",
        "Tutorial for a {piece} that forgives beginners: {link}",
        "The glaze was meant to be {colour}. It is not. It's better.",
        "My hands remember the {piece} better than my head does.",
        "A child at the workshop asked if the {piece} is alive. Working on it.",
        "Unravelled the {piece} {number} times. We're both learning.",
    ),
    (
        "I need that {piece} in {colour}.",
        "Wonky is a glaze too.",
        "How do you get {colour}? Mine is always brown.",
        "Put me down for {number}, please.",
    ),
)

COOKS = Circle(
    "cooks",
    10,
    (
        "My love language is leftovers.",
        "Garlic is measured with the heart.",
        "Cooking my grandmother's recipes wrong, one by one.",
        "Soup person 🍲",
    ),
    {
        "dish": (
            "jollof",
            "dal",
            "pierogi",
            "bibimbap",
            "moussaka",
            "feijoada",
            "ramen",
            "okonomiyaki",
            "goulash",
            "ghormeh sabzi",
            "injera",
        ),
        "mistake": (
            "forgot the salt",
            "read tablespoon for teaspoon",
            "set off the alarm",
            "invited everybody",
            "left the spoon in it",
        ),
    },
    (
        "Made {dish} for {number} people. {extra} came. It was enough. It is always enough.",
        "First {dish} of the season! I only {mistake}. #cooking",
        "My {relative} tasted my {dish} and said nothing, which is the highest prize.",
        "There are two kinds of {dish}: yours and the right one. Fight me gently.",
        "{dish} tastes better the next day, if there is one. There never is.",
        "Rang my {relative} for the {dish} recipe. It says 'until it looks right'. #cooking",
        "I {mistake} and the {dish} got better. Science?",
        "Kitchen soundtrack: {sound}. Menu: {dish}. Guest: {friend}. Life: good.",
        "Wrote the {dish} recipe down before I forget it again: {link}",
        "Who else eats {dish} standing up at the fridge, {number} minutes before guests arrive?",
        "Onions: {number}. Tears: same. {dish}: magnificent.",
    ),
    (
        "I'm on my way. Don't start the {dish} without me.",
        "I once {mistake} and now it's tradition.",
        "My {relative} would like a word about your {dish}.",
        "Recipe, please! I'll trade you {dish}.",
    ),
)

SWIMMERS = Circle(
    "swims",
    6,
    (
        "Cold water, warm flask.",
        "I go in. I scream. I come out a better person.",
        "Outdoor swimmer, indoor complainer 🌊",
    ),
    {
        "water": ("the lake", "the lido", "the harbour", "the river bend", "the quarry pool", "the sea"),
        "degrees": ("four", "six", "eight", "nine", "11", "a brave 12"),
        "creature": (
            "a curious seal",
            "an indignant swan",
            "a duck with eleven ducklings",
            "a jellyfish the size of a plate",
            "a labrador",
        ),
    },
    (
        "{water} was {degrees} degrees this {daypart}. I am awake until next week. #coldwater",
        "Swam with {creature}. It was faster and knew it.",
        "Nobody at {water} but me, the mist and {creature}.",
        "Changing robe: on. Dignity: in the locker. #coldwater",
        "{friend} promised that {water} is 'refreshing'. I have looked the word up.",
        "{number} lengths and one good idea. Fair trade.",
        "My {relative} swims at eighty and laps me at {water}. Goals.",
        "{water} at dawn sounds like {sound}.",
        "Left my towel on the wrong side of {water}. An adventure in {number} acts.",
    ),
    (
        "Brave! I'd have stayed with {creature}.",
        "{degrees} degrees is basically soup.",
        "Wait for me at {water}, I bring tea.",
    ),
)

TEACHERS = Circle(
    "teaches",
    7,
    ("Maths, glitter, patience.", "I teach, therefore I am tired.", "Year 5 and a class hamster called Euler."),
    {
        "subject": (
            "fractions",
            "volcanoes",
            "the water cycle",
            "commas",
            "the Vikings",
            "photosynthesis",
            "negative numbers",
        ),
        "quote": (
            "'is zero lonely?'",
            "'so the moon is just shy?'",
            "'my dad says it depends'",
            "'can a comma be sad?'",
            "'I understood it by accident'",
        ),
    },
    (
        "Taught {subject} today. Best question: {quote}",
        "Marking {number} essays about {subject}. One is a poem. It gets everything.",
        "A pupil explained {subject} better than I ever did. Retiring. #teaching",
        "Glitter count in the carpet: {number} million. #teaching",
        "The hamster escaped during {subject}. Attendance was never better.",
        "Overheard in the corridor: {quote}",
        "Met a former pupil who works with {subject} now. I'm not crying, it's chalk.",
        "Borrowed {friend}'s lesson on {subject}. Chaos, joy, {number} hands up.",
        "Free worksheet on {subject}, with jokes: {link}",
    ),
    (
        "{quote} is going on my wall.",
        "I wish I had learned {subject} with you.",
        "Chalk dust is a food group, be strong!",
    ),
)

CIRCLES = (
    BAKERS, CYCLISTS, BIRDERS, SYNTHS, GARDENERS, PYTHON, ASTRONOMERS, NURSES, READERS, TRAINS, POTTERS, COOKS,
    SWIMMERS, TEACHERS,
)  # fmt: skip
