/** Every sentence that the script says, in one place, so that they can be read and translated together. */

import type { DownloadFailure } from "./download";

/** What may pass, or be mended, by trying again. */
type Hindrance = Exclude<DownloadFailure, "ended" | "locked">;

export const words = {
  canvas: (scans: string) =>
    `3D picture of ${scans}. Arrow keys turn it, Shift with arrows moves it, plus and minus zoom, ` +
    "1 to 6 choose a view, F fits it in.",
  no3d: "This browser cannot draw in 3D. The picture and the files are still here.",
  noScans: "This case has no 3D scan.",
  loadingPreviews: "Loading the scans",
  loadingFull: (progress: string) => `Loading full detail, ${progress}`,
  retrying: "The connection broke. Trying again",
  lighter: "A lighter picture is shown, to spare this device.",
  fullDetail: "Full detail",
  fetchFull: (size: string) => `Full detail (${size})`,
  contextLost: "The picture was interrupted and is coming back.",
  shown: "shown",
  hidden: "hidden",
  hiddenByView: (labels: string, view: string) => `${labels} hidden in the ${view.toLowerCase()} view.`,
  allHidden: "All scans are hidden.",
  showAll: "Show all",
  ended: "The link has ended. Ask the sender to open it again.",
  locked: "This device has not used the link for a while.",
  openAgain: "Open it again",
  tryAgain: "Try again",
  done: "Done",
  undo: "Undo",
  remove: (what: string) => `Remove ${what}`,
  missed: "There is no scan at this point. Tap on a scan.",
  noOtherSide: "This scan has no other side here: it is an open shell.",
  hints: {
    distance: ["Tap the first point.", "Tap the second point."],
    angle: ["Tap the first point.", "Tap the corner.", "Tap the third point."],
    thickness: ["Tap where you want to know the thickness."],
  },
  measured: {
    distance: (value: string) => `Distance ${value}`,
    angle: (value: string) => `Angle ${value}`,
    thickness: (value: string) => `Thickness ${value}`,
  },
  pin: "Pin",
  pinHint: "Tap the place that you want to say something about.",
  withPin: "A pin on the scan goes with it.",
  withDrawing: "Your drawing goes with it.",
  withMeasures: (count: number) => (count === 1 ? "With your measurement" : `With your ${count} measurements`),
  showView: "Show as it was seen",
  showPin: (number: number) => `Show pin ${number}`,
  asSeen: "Picture",
  said: {
    comment: (version: number) => `on version ${version}`,
    approved: (version: number) => `approved version ${version}`,
    changes: (version: number) => `asks for changes to version ${version}`,
  },
  decided: {
    approved: "You approved this version. The lab has been told.",
    changes: "You asked for changes. The lab has been told.",
  },
  notSent: "Not sent: there is no connection. Try again when it is back.",
  serverTrouble: "Not sent: the server has a problem of its own. Try again in a minute.",
  sectionPlace: "Place of the section",
  sectionWay: "Direction of the section",
  sectionWays: { across: "Across", front: "Front", level: "Level", seen: "As seen" },
  flip: "Flip",
  lookAtCut: "Face it",
  millimetres: (value: number, digits: number) => `${value.toFixed(digits)} mm`,
  loadingMap: "Loading the map",
  mapFailed: (labels: string) => `The map of ${labels} could not be shown.`,
  legends: {
    contacts: "Distance to the other jaw, mm",
    change: "Changed since the version before, mm",
  },
  heat: {
    contacts: (value: string) => `${value} mm to the other jaw`,
    change: (value: string) => `${value} mm changed`,
  },
  tightest: (one: string, other: string, value: string) => `${one} and ${other}: tightest ${value} mm`,
  newVersion: (number: number) => `Version ${number} is here.`,
  showNewVersion: "Show it",
  oldVersion: (number: number) => `This is version ${number}, not the newest.`,
  phoneTrouble: "The code could not be made. Try again.",
  previewFailed: (labels: string, why: Hindrance) => `${labels} could not be drawn: ${reasons[why]}`,
  fullFailed: (labels: string, why: Hindrance) =>
    `Full detail of ${labels} did not load: ${reasons[why]} The preview stays.`,
};

const reasons: Record<Hindrance, string> = {
  connection: "the connection broke.",
  server: "the server did not send it.",
  content: "the file could not be read.",
};

/** "Upper jaw", "Upper jaw and Bite", "Upper jaw, Bite and Design". */
export function list(labels: readonly string[]): string {
  if (labels.length < 2) return labels.join("");
  return `${labels.slice(0, -1).join(", ")} and ${labels[labels.length - 1]}`;
}

const megabyte = 1e6;

/** "3 of 8 MB", with a decimal where the whole is small. */
export function progress(received: number, total: number): string {
  const digits = total < 10 * megabyte ? 1 : 0;
  const amount = (bytes: number) => (bytes / megabyte).toFixed(digits);
  return `${amount(Math.min(received, total))} of ${amount(total)} MB`;
}

export function size(bytes: number): string {
  return `${(bytes / megabyte).toFixed(bytes < 10 * megabyte ? 1 : 0)} MB`;
}

/** "4.20 mm", or "92.4°". */
export function amount(kind: "distance" | "angle" | "thickness", value: number): string {
  return kind === "angle" ? `${value.toFixed(1)}°` : `${value.toFixed(2)} mm`;
}

/** "+0.10", "0", "−0.05": with a true minus. */
export function signed(value: number): string {
  const rounded = Math.round(value * 100) / 100;
  if (!rounded) return "0";
  return `${rounded < 0 ? "−" : "+"}${Math.abs(rounded).toFixed(2)}`;
}
