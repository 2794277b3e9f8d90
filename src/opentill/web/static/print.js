// A button that prints the page. Hidden where no script could serve it.

import { attach } from "./behaviour.js";

attach("print", (button) => {
  button.hidden = false;
  button.addEventListener("click", () => print());
});
