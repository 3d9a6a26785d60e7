/** Every sentence that the upload page's script says, in one place, to be read and translated together. */

import { counted, decimal, t } from "./language";

/** As the server's limits are written: MB of 1,048,576 bytes. */
const megabyte = 1 << 20;

function amount(bytes: number, whole: number): string {
  return decimal(bytes / megabyte, whole < 10 * megabyte ? 1 : 0);
}

function size(bytes: number): string {
  return `${amount(bytes, bytes)}\u00a0MB`;
}

function progress(received: number, total: number): string {
  return t("{done} of {all} MB", { done: amount(received, total), all: amount(total, total) });
}

export const words = {
  remove: (what: string) => t("Remove {what}", { what }),
  waiting: t("Waiting"),
  sending: (received: number, total: number) => progress(received, total),
  comparing: t("Comparing with what is here"),
  here: t("Here"),
  chooseAgain: (received: number, total: number) =>
    t("{progress} are here. Choose the file again to go on.", { progress: progress(received, total) }),
  lost: {
    connection: (file: string, seconds: number) =>
      t("The connection is lost. {file} goes on in {seconds} s; what is here is kept.", { file, seconds }),
    busy: (file: string, seconds: number) =>
      t("The server is busy. {file} goes on in {seconds} s; what is here is kept.", { file, seconds }),
    full: (file: string, seconds: number) =>
      t("The server’s disk is full. {file} tries again in {seconds} s; what is here is kept.", {
        file,
        seconds,
      }),
  },
  offline: (file: string) =>
    t("This device is offline. {file} goes on when the connection is back; what is here is kept.", { file }),
  back: (file: string) => t("{file} goes on.", { file }),
  arrived: (file: string, ready: number, all: number) =>
    t("{file} is here. {ready} of {all} files.", { file, ready, all }),
  total: (files: number, bytes: number, limit: number) =>
    counted("{n} file, {size} of {limit}", "{n} files, {size} of {limit}", files, {
      size: size(bytes),
      limit: size(limit),
    }),
  unreadable: t("This file cannot be read any more. Remove it and choose it again."),
  folder: (name: string) => t("{name} is a folder. Pack it as ZIP and choose that.", { name }),
  tooLarge: (file: string, limit: number) =>
    t("{file} was left out: all files together may have {limit}.", { file, limit: size(limit) }),
  tooMany: (file: string, most: number) =>
    t("{file} was left out: there may be {most} files. Pack them as ZIP.", { file, most }),
  stopped: (file: string, why: string) => t("{file}: {why}", { file, why }),
  sharing: t("Sharing"),
  share: t("Share"),
  failed: t("This server has a problem of its own. Try again in a minute."),
};
