// Keeps the page true: asks how the payment stands and, when that has changed, shows the page as it now is.

import { announce, attach } from "../web/behaviour.js";
import { renew } from "./renew.js";

const OFTEN_MS = 1000; // at first, while the payer waits in front of it
const OFTEN_FOR_MS = 120_000;
const SELDOM_MS = 3000;
const AWAY_MAX_MS = 15_000; // between tries while the server does not answer

attach("live-status", (page) => {
  const began = performance.now();
  let away = 0;

  const later = (wait) => setTimeout(ask, wait);
  const usual = () => (performance.now() - began < OFTEN_FOR_MS ? OFTEN_MS : SELDOM_MS);

  async function ask() {
    if (!page.isConnected) return;
    if (document.hidden) return document.addEventListener("visibilitychange", ask, { once: true });
    try {
      const answer = await fetch(page.dataset.statusUrl, { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(String(answer.status));
      const { stamp } = await answer.json();
      if (away) say(page.dataset.back);
      away = 0;
      if (stamp !== page.dataset.stamp) return await renew(page);
    } catch {
      away += 1;
      if (away === 2) say(page.dataset.away);
    }
    later(away ? Math.min(away * SELDOM_MS, AWAY_MAX_MS) : usual());
  }

  function say(text) {
    const line = page.querySelector("[data-connection]");
    if (line) line.textContent = text;
    announce(text);
  }

  later(usual());
});
