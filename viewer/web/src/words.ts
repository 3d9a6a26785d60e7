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
