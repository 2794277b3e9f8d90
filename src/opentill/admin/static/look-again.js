// Brings what is still being written up to date, until it is done; the rest of the page stays as it is.

import { attach, contentChanged } from "../web/behaviour.js";

const PAUSE_MS = 2000;

attach("look-again", (part) => {
  const look = async () => {
    const answer = await fetch(location.pathname).catch(() => null); // away for a moment
    const page = answer?.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page && page.getElementById(part.id);
    const inUse = part.contains(document.activeElement); // nobody loses their place in it
    if (fresh && !inUse) {
      part.replaceChildren(...fresh.childNodes);
      contentChanged();
    }
    if (inUse || !fresh || fresh.dataset.behaviour) setTimeout(look, PAUSE_MS);
  };
  setTimeout(look, PAUSE_MS);
});
