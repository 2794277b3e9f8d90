// Shows an instant in the reader's own time zone.

import { attach } from "./behaviour.js";

const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

attach("local-time", (time) => {
  time.dataset.utc = time.textContent;
  time.textContent = format.format(new Date(time.dateTime));
});
