/** The calm line under the picture: what is going on, in words, with at most one thing to do about it. */

import { element } from "./case";

/** What the line can be about; where several have something to say, the first speaks. */
const topics = ["picture", "failure", "version", "parts", "loading", "quality"] as const;
type Topic = (typeof topics)[number];

interface Saying {
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void } | undefined;
}

export class Line {
  private readonly sayings = new Map<Topic, Saying>();
  /** Read out by a screen reader. */
  private readonly note = element(".line-note");
  /** Changes many times a second, so it is only shown. */
  private readonly progress = element(".line-progress");
  private readonly button = element<HTMLButtonElement>(".line-action");

  constructor() {
    this.button.addEventListener("click", () => this.current()?.[1].action?.run());
  }

  say(topic: Topic, text: string, action?: Saying["action"]): void {
    this.sayings.set(topic, { text, action });
    this.tell();
  }

  hush(topic: Topic): void {
    this.sayings.delete(topic);
    this.tell();
  }

  private current(): [Topic, Saying] | undefined {
    for (const topic of topics) {
      const saying = this.sayings.get(topic);
      if (saying) return [topic, saying];
    }
    return undefined;
  }

  private tell(): void {
    const [topic, { text = "", action = undefined } = {}] = this.current() ?? [];
    write(this.note, topic === "loading" ? "" : text);
    write(this.progress, topic === "loading" ? text : "");
    if (document.activeElement === this.button && !action) element("canvas").focus({ preventScroll: true });
    this.button.hidden = !action;
    write(this.button, action?.label ?? "");
  }
}

function write(place: HTMLElement, text: string): void {
  if (place.textContent !== text) place.textContent = text;
}
