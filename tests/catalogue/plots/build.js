const fs = require("node:fs");

fs.mkdirSync("assets", { recursive: true });
fs.writeFileSync("assets/style.css", "body { color: teal; }\n");
