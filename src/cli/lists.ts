/** Lists on the command line: given at once, separated by commas, or by repeating the flag. */

/** For commander: what came before, and this. */
export function joinLists(value: string, previous: string | undefined): string {
  return previous === undefined ? value : `${previous},${value}`
}

/** The items; none where nothing was given. */
export function splitList(text: string | undefined): readonly string[] {
  return text === undefined ? [] : text.split(',').map((item) => item.trim())
}
