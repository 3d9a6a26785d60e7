/** Every sentence that the script says, in one place, so that they can be read and translated together. */

import type { DownloadFailure } from "./download";
import { counted, decimal, pieces, t } from "./language";

/** What may pass, or be mended, by trying again. */
type Hindrance = Exclude<DownloadFailure, "ended" | "locked">;

export const words = {
  canvas: (scans: string) =>
    t(
      "3D picture of {scans}. Arrow keys turn it, Shift with arrows moves it, plus and minus zoom, " +
        "1 to 6 choose a view, F fits it in.",
      { scans },
    ),
  no3d: t("This browser cannot draw in 3D. The picture and the files are still here."),
  noScans: t("This case has no 3D scan."),
  loadingPreviews: t("Loading the scans"),
  loadingFull: (progress: string) => t("Loading full detail, {progress}", { progress }),
  retrying: t("The connection broke. Trying again"),
  lighter: t("A lighter picture is shown, to spare this device."),
  fullDetail: t("Full detail"),
  fetchFull: (size: string) => t("Full detail ({size})", { size }),
  contextLost: t("The picture was interrupted and is coming back."),
  shown: t("shown"),
  hidden: t("hidden"),
  hiddenByView: {
    upper: (scans: string) => t("{scans} hidden in the upper view.", { scans }),
    lower: (scans: string) => t("{scans} hidden in the lower view.", { scans }),
  },
  allHidden: t("All scans are hidden."),
  showAll: t("Show all"),
  ended: t("The link has ended. Ask the sender to open it again."),
  locked: t("This device has not used the link for a while."),
  openAgain: t("Open it again"),
  tryAgain: t("Try again"),
  done: t("Done"),
  undo: t("Undo"),
  remove: (what: string) => t("Remove {what}", { what }),
  missed: t("There is no scan at this point. Tap on a scan."),
  noOtherSide: t("This scan has no other side here: it is an open shell."),
  hints: {
    distance: [t("Tap the first point."), t("Tap the second point.")],
    angle: [t("Tap the first point."), t("Tap the corner."), t("Tap the third point.")],
    thickness: [t("Tap where you want to know the thickness.")],
  },
  measured: {
    distance: (value: string) => t("Distance {value}", { value }),
    angle: (value: string) => t("Angle {value}", { value }),
    thickness: (value: string) => t("Thickness {value}", { value }),
  },
  pin: t("Pin"),
  arrowKeys: t("Arrow keys move a cross. Enter begins an arrow there, and Enter again ends it."),
  pinHint: t("Tap the place that you want to say something about."),
  withPin: t("A pin on the scan goes with it."),
  withDrawing: t("Your drawing goes with it."),
  withMeasures: (count: number) => counted("With your measurement", "With your {n} measurements", count),
  showView: t("Go there"),
  showPin: (number: number) => t("Show pin {n}", { n: number }),
  asSeen: t("Picture"),
  comma: t(", "),
  said: {
    comment: (author: Node, n: number) => pieces<Node | string>("{author} on version {n}", { author, n: String(n) }),
    approved: (author: Node, n: number) =>
      pieces<Node | string>("{author} approved version {n}", { author, n: String(n) }),
    changes: (author: Node, n: number) =>
      pieces<Node | string>("{author} asks for changes to version {n}", { author, n: String(n) }),
  },
  decided: {
    approved: t("You approved this version. The lab has been told."),
    changes: t("You asked for changes. The lab has been told."),
  },
  writeFirst: t("Write a few words first."),
  readOn: t("Read on"),
  notSent: t("Not sent: there is no connection. Try again when it is back."),
  serverTrouble: t("Not sent: the server has a problem of its own. Try again in a minute."),
  sectionPlace: t("Place of the section"),
  sectionWay: t("Direction of the section"),
  sectionWays: { across: t("Across"), front: t("Front"), level: t("Level"), seen: t("As seen") },
  flip: t("Flip"),
  lookAtCut: t("Face it"),
  millimetres: (value: number, digits: number) => `${decimal(value, digits)} mm`,
  loadingMap: t("Loading the map"),
  mapFailed: (scans: string) => t("The map of {scans} could not be shown.", { scans }),
  legends: {
    contacts: t("Distance to the other jaw, mm"),
    change: t("Changed since the version before, mm"),
  },
  heat: {
    contacts: (value: string) => t("{value} mm to the other jaw", { value }),
    change: (value: string) => t("{value} mm changed", { value }),
  },
  tightest: (one: string, other: string, value: string) =>
    t("{one} and {other}: tightest {value} mm", { one, other, value }),
  newVersion: (number: number) => t("Version {n} is here.", { n: number }),
  showNewVersion: t("Show it"),
  oldVersion: (number: number) => t("This is version {n}, not the newest.", { n: number }),
  phoneTrouble: t("The code could not be made. Try again."),
  previewFailed: (scans: string, why: Hindrance) =>
    ({
      connection: t("{scans} could not be drawn: the connection broke.", { scans }),
      server: t("{scans} could not be drawn: the server did not send it.", { scans }),
      content: t("{scans} could not be drawn: the file could not be read.", { scans }),
    })[why],
  fullFailed: (scans: string, why: Hindrance) =>
    ({
      connection: t("Full detail of {scans} did not load: the connection broke. The preview stays.", { scans }),
      server: t("Full detail of {scans} did not load: the server did not send it. The preview stays.", { scans }),
      content: t("Full detail of {scans} did not load: the file could not be read. The preview stays.", { scans }),
    })[why],
};

const megabyte = 1e6;

/** "3 of 8 MB", with a decimal where the whole is small. */
export function progress(received: number, total: number): string {
  const digits = total < 10 * megabyte ? 1 : 0;
  const amount = (bytes: number) => decimal(bytes / megabyte, digits);
  return t("{done} of {all} MB", { done: amount(Math.min(received, total)), all: amount(total) });
}

export function size(bytes: number): string {
  return `${decimal(bytes / megabyte, bytes < 10 * megabyte ? 1 : 0)} MB`;
}

/** "4.20 mm", or "92.4°". */
export function amount(kind: "distance" | "angle" | "thickness", value: number): string {
  return kind === "angle" ? `${decimal(value, 1)}°` : words.millimetres(value, 2);
}

/** "+0.10", "0", "−0.05": with a true minus. */
export function signed(value: number): string {
  const rounded = Math.round(value * 100) / 100;
  if (!rounded) return "0";
  return `${rounded < 0 ? "−" : "+"}${decimal(Math.abs(rounded), 2)}`;
}
