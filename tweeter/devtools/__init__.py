"""Development tools: private servers, and a proxy for fault injection. The site does not use them."""
