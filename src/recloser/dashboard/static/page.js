"use strict";

const breakers = new Map();
const list = document.getElementById("breakers");

function draw() {
  list.replaceChildren(
    ...[...breakers].map(([name, entry]) => {
      const item = document.createElement("li");
      item.textContent = `${name}: ${entry.explanation}`;
      return item;
    }),
  );
}

const events = new EventSource("events");
events.addEventListener("snapshot", (event) => {
  breakers.clear();
  for (const [name, entry] of Object.entries(JSON.parse(event.data).breakers)) breakers.set(name, entry);
  draw();
});
events.addEventListener("update", (event) => {
  const { changed, removed } = JSON.parse(event.data);
  for (const name of removed) breakers.delete(name);
  for (const [name, entry] of Object.entries(changed)) breakers.set(name, { ...breakers.get(name), ...entry });
  draw();
});
