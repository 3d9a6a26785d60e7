/**
 * The review page, from its HTML to a picture that turns: read this first.
 *
 * The HTML is useful alone. This script adds the stage, lets the lists and the tools act on it, and loads
 * the scans. How far it has come is said in `data-state` on the root element:
 * loading, preview, full, or failed when there is nothing to turn.
 */

import { type Case, element, readCase } from "./case";
import { type TellDecision, connectDecision, connectSheets } from "./decide";
import { showPicture } from "./dom";
import { connectExtras } from "./extras";
import { patientRotation } from "./frame";
import { connectHands } from "./hands";
import { Heat } from "./heat";
import { connectKeys } from "./keys";
import { asJson, list } from "./language";
import { Legend } from "./legend";
import { Line } from "./line";
import { Loading } from "./loading";
import { Marks } from "./marks";
import { Measure } from "./measure";
import { Overlay } from "./overlay";
import { Parts } from "./parts";
import { Picking } from "./picking";
import { somebodyLooks } from "./presence";
import { connectScale } from "./scale";
import { changeScale, contactScale } from "./scales";
import { Section } from "./section";
import { Sending } from "./sending";
import { Sight } from "./sight";
import { Snapshot } from "./snapshot";
import { Stage } from "./stage";
import { Talk } from "./talk";
import { Tools } from "./tools";
import { Versions } from "./versions";
import { Views } from "./views";
import { signed, words } from "./words";

const root = document.documentElement;

function begin(shared: Case): void {
  root.dataset.state = "loading";
  connectSheets();
  const line = new Line();
  const newest = shared.versions.at(-1)!;
  const stage = newest.scans.length ? openStage() : undefined;
  if (!stage) {
    beginWithoutPicture(shared, line);
    return;
  }
  stage.jaws.quaternion.copy(patientRotation(newest.frame));

  const parts = new Parts([...shared.versions].reverse(), stage);
  const views = new Views(stage, parts);
  const overlay = new Overlay(stage);
  const section = new Section(stage, parts, overlay);
  const loading = connectLoading(shared, stage, parts, views, section, line);
  parts.present(shared.version);
  void loading.start(); // while the tools are laid out
  const versions = new Versions(shared, parts, loading, line);
  connectTools(shared, stage, parts, overlay, section, versions, loading, line);
  connectKeys(stage, views, element(".tools"));
  connectScale(stage);
  sayWhatIsHidden(parts, views, line);
  keepThroughContextLoss(stage.canvas, line);
  stage.onFrame(() => {
    const { x, y, z } = stage.viewpoint();
    stage.canvas.dataset.view = [x, y, z].map((value) => value.toFixed(7)).join(",");
  });
}

/** A case of photos alone, or a browser without 3D: pictures, facts, words and the decision still work. */
function beginWithoutPicture(shared: Case, line: Line): void {
  const scans = shared.versions.at(-1)!.scans.length;
  line.say("failure", scans ? words.no3d : words.noScans);
  root.dataset.state = "failed";
  root.dataset.still = "";
  const sending = new Sending(shared, undefined, undefined);
  connectDecision(sending, {
    version: () => shared.version,
    attached: () => [],
    words: () => element<HTMLTextAreaElement>("#say-text").value.trim(),
    sent: () => location.reload(),
  });
  // A case of photos and documents has been seen when its page is; scans, when they are drawn.
  if (!scans) void tellSeen(shared.seen);
}

function openStage(): Stage | undefined {
  try {
    return new Stage(element(".stage"));
  } catch {
    return undefined;
  }
}

function connectLoading(
  shared: Case,
  stage: Stage,
  parts: Parts,
  views: Views,
  section: Section,
  line: Line,
): Loading {
  let drawn = false;
  return new Loading(parts, line, (state) => {
    if (state === "failed") {
      root.dataset.state = state;
      return;
    }
    if (!drawn) views.choose("Front", false);
    else stage.refit();
    section.refresh();
    stage.afterNextFrame(() => {
      root.dataset.state = state;
      if (drawn) return;
      drawn = true;
      stage.canvas.classList.add("drawn");
      element(".poster").hidden = true;
      requestAnimationFrame(() => namePicture(stage.canvas, parts));
      void tellSeen(shared.seen);
    });
  });
}

/** After the first picture: a browser's first list of words takes it 7 ms. */
function namePicture(canvas: HTMLCanvasElement, parts: Parts): void {
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", words.canvas(list(parts.all.map(({ scan }) => scan.label))));
  canvas.tabIndex = 0;
}

function connectTools(
  shared: Case,
  stage: Stage,
  parts: Parts,
  overlay: Overlay,
  section: Section,
  versions: Versions,
  loading: Loading,
  line: Line,
): void {
  const marks = new Marks(shared, stage, overlay);
  const picking = new Picking(stage, parts, section);
  const legend = new Legend();
  const snapshot = new Snapshot(stage, overlay, legend, () => talk.invite());
  const sending = new Sending(shared, () => sight.view, snapshot);
  const talk = new Talk(shared, stage, parts, overlay, picking, marks, snapshot, sending);
  connectExtras(shared, stage, parts, () => snapshot.seen(true));
  const tools = new Tools(stage, overlay);
  const sight = new Sight(stage, parts, section, tools);
  for (const kind of ["distance", "angle", "thickness"] as const) {
    tools.add(new Measure(kind, stage, overlay, picking, marks));
  }
  const contacts = () => meetings(shared, versions.shown);
  const heats = [
    new Heat("contacts", contactScale, contacts, stage, parts, loading, line, overlay, legend),
    new Heat("change", changeScale, () => [], stage, parts, loading, line, overlay, legend),
  ];
  for (const tool of [section, ...heats, talk, snapshot]) tools.add(tool);
  talk.leave = () => tools.end(talk);
  snapshot.leave = () => tools.end(snapshot);
  keepMapsApart(tools, heats);
  for (const { name } of heats) {
    if (!shared.versions.some(({ scans }) => scans.some((scan) => scan[name]))) tools.without(name);
  }
  connectHands(stage, tools);
  const tellDecision = connectDecision(sending, {
    version: () => versions.shown,
    attached: () => talk.attached(),
    words: () => talk.words,
    sent: (remark, taken) => talk.sent(remark, taken),
  });
  talk.showVersion = (version) => versions.show(version);
  talk.showView = (view) => sight.show(view);
  versions.onChange((version) => {
    for (const heat of heats) tools.end(heat);
    tools.layDown(); // half of a measurement on one version, half on another would be none
    marks.show(version);
    talk.turnPage();
    // Only the newest is decided on; what was said of it is no word about another one.
    const decision = document.querySelector<HTMLElement>(".decide");
    if (decision) decision.hidden = version !== shared.version;
  });
  listenForNews(shared, talk, tellDecision, line);
}

/** One map at a time: two would lie on the same surface. */
function keepMapsApart(tools: Tools, heats: readonly Heat[]): void {
  for (const heat of heats) {
    element(`[data-tool="${heat.name}"]`).addEventListener("click", () => {
      for (const other of heats) if (other !== heat) tools.end(other);
    }, { capture: true });
  }
}

function meetings(shared: Case, shown: number): readonly string[] {
  const version = shared.versions.find(({ number }) => number === shown);
  if (!version) return [];
  const label = (number: number) => version.scans.find(({ n }) => n === number)?.label ?? "";
  return version.meetings.flatMap(({ one, other, tightest_mm }) =>
    tightest_mm === null ? [] : words.tightest(label(one), label(other), signed(tightest_mm)),
  );
}

/** Whoever comes back to the page reads what was said meanwhile, and that a newer version is there. */
function listenForNews(shared: Case, talk: Talk, tellDecision: TellDecision, line: Line): void {
  document.addEventListener("visibilitychange", async () => {
    if (document.visibilityState !== "visible") return;
    try {
      const response = await fetch(shared.say, { headers: asJson });
      if (!response.ok) return;
      const news = (await response.json()) as Pick<Case, "remarks" | "version" | "verdict">;
      talk.replace(news.remarks);
      if (news.verdict && news.version === shared.version) tellDecision(news.verdict.kind);
      if (news.version > shared.version) {
        const show = { label: words.showNewVersion, run: () => location.reload() };
        line.say("version", words.newVersion(news.version), show);
      }
    } catch {
      // Without a connection there is no news.
    }
  });
}

/** A person has seen a scan: this, and not the opening of the page, counts as a view. */
async function tellSeen(url: string): Promise<void> {
  await somebodyLooks();
  try {
    await fetch(url, { method: "POST", credentials: "same-origin", keepalive: true });
  } catch {
    // The scan is on the screen; a lost count is no reason to disturb whoever looks at it.
  }
}

function sayWhatIsHidden(parts: Parts, views: Views, line: Line): void {
  const showAll = { label: words.showAll, run: () => parts.showAll() };
  parts.onChange(() => {
    const aside = parts.all.filter((part) => part.aside && part.wanted);
    if (!parts.all.some((part) => part.visible)) line.say("parts", words.allHidden, showAll);
    else if (aside.length) {
      const labels = list(aside.map(({ scan }) => scan.label));
      const sentence = words.hiddenByView[views.chosen === "Upper" ? "upper" : "lower"];
      line.say("parts", sentence(labels), showAll);
    } else line.hush("parts");
  });
}

function keepThroughContextLoss(canvas: HTMLCanvasElement, line: Line): void {
  canvas.addEventListener("webglcontextlost", () => line.say("picture", words.contextLost));
  canvas.addEventListener("webglcontextrestored", () => line.hush("picture"));
  canvas.addEventListener("focus", () => {
    // On a phone the sheet may lie over the picture that the keyboard has just reached.
    if (canvas.matches(":focus-visible")) showPicture();
  });
}

if (document.querySelector("#case")) begin(readCase());
