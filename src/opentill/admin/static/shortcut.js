// "/" goes to the search field that is shown.

import { attach } from "../web/behaviour.js";

attach("shortcut", (field) => {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || !field.offsetParent) return;
    event.preventDefault();
    field.focus();
  });
});
