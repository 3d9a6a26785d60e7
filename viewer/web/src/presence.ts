/**
 * A view counts when a person has looked: the scan is drawn, and a hand has done something or the page has
 * stayed in sight for a while. A scanner's browser that opens the page and goes does neither.
 */

const longEnough = 8000;
const gestures = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart", "scroll"] as const;

let gestured = false;
for (const gesture of gestures) {
  addEventListener(gesture, ({ isTrusted }) => (gestured ||= isTrusted), { passive: true, capture: true });
}

/** Resolves when somebody has looked. */
export async function somebodyLooks(): Promise<void> {
  let seen = 0;
  const step = 250;
  while (!gestured && seen < longEnough) {
    await new Promise((resolve) => setTimeout(resolve, step));
    if (document.visibilityState === "visible") seen += step;
  }
}
