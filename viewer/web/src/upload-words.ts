/** Every sentence that the upload page's script says, in one place, to be read and translated together. */

/** As the server's limits are written: MB of 1,048,576 bytes. */
const megabyte = 1 << 20;

function amount(bytes: number, whole: number): string {
  return (bytes / megabyte).toFixed(whole < 10 * megabyte ? 1 : 0);
}

function size(bytes: number): string {
  return `${amount(bytes, bytes)} MB`;
}

function progress(received: number, total: number): string {
  return `${amount(received, total)} of ${amount(total, total)} MB`;
}

export const words = {
  remove: (name: string) => `\u00a0${name}`,
  waiting: "Waiting",
  sending: (received: number, total: number) => progress(received, total),
  comparing: "Comparing with what is here",
  here: "Here",
  chooseAgain: (received: number, total: number) =>
    `${progress(received, total)} are here. Choose the file again to go on.`,
  lost: {
    connection: (name: string, seconds: number) =>
      `The connection is lost. ${name} goes on in ${seconds} s; what is here is kept.`,
    busy: (name: string, seconds: number) =>
      `The server is busy. ${name} goes on in ${seconds} s; what is here is kept.`,
    full: (name: string, seconds: number) =>
      `The server’s disk is full. ${name} tries again in ${seconds} s; what is here is kept.`,
  },
  offline: (name: string) =>
    `This device is offline. ${name} goes on when the connection is back; what is here is kept.`,
  back: (name: string) => `${name} goes on.`,
  arrived: (name: string, ready: number, all: number) => `${name} is here. ${ready} of ${all} files.`,
  total: (files: number, bytes: number, limit: number) =>
    files === 1 ? `1 file, ${size(bytes)} of ${size(limit)}` : `${files} files, ${size(bytes)} of ${size(limit)}`,
  unreadable: "This file cannot be read any more. Remove it and choose it again.",
  folder: (name: string) => `${name} is a folder. Pack it as ZIP and choose that.`,
  tooLarge: (name: string, limit: number) =>
    `${name} was left out: all files together may have ${size(limit)}.`,
  tooMany: (name: string, most: number) =>
    `${name} was left out: there may be ${most} files. Pack them as ZIP.`,
  sharing: "Sharing",
  share: "Share",
  failed: "This server has a problem of its own. Try again in a minute.",
};
