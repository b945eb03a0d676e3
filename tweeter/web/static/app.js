// Tweeter works without scripts. These add a character counter, relative times, links to copy, keys, the number of new
// mentions, people to follow, polling for new tweets, acts (reposts, likes, follows, …) without a reload, and older tweets
// that are loaded into the page and are there again after Back.

import "./compose.js";
import "./tweets.js";
import "./acts.js";
import "./keys.js";
import "./news.js";
import "./aside.js";
import "./older.js";
