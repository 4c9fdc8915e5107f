/** For a POSIX shell: plain words stay as they are, all others are quoted. */
export function shellWord(word: string): string {
  return /^[\w./:=,%@+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
