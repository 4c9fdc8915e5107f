/** Text for a terminal: colours, widths, padding, wrapping. Widths are counted in characters that are seen. */

import { stripVTControlCharacters } from 'node:util'

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
export type Style = keyof typeof codes

export type Paint = (style: Style, text: string) => string

/** Paints, or leaves the text as it is where there is to be no colour. */
export function painter(color: boolean): Paint {
  return color
    ? (style, text) => (text === '' ? '' : `\u001b[${codes[style]}m${text}\u001b[0m`)
    : (_style, text) => text
}

export function visibleWidth(text: string): number {
  return [...stripVTControlCharacters(text)].length
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - visibleWidth(text))) + text
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - visibleWidth(text)))
}

/** Breaks at spaces; every line after the first starts with `hanging` spaces. A word longer than a line stays whole. */
export function wrap(text: string, width: number, hanging = 0): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`
    const limit = lines.length === 0 ? width : width - hanging
    if (line !== '' && visibleWidth(longer) > limit) {
      lines.push(line)
      line = word
    } else line = longer
  }
  lines.push(line)
  return lines.join(`\n${' '.repeat(hanging)}`)
}
