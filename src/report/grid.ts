/**
 * The cells of all scenarios, contenders side by side. The widest arrangement that fits the terminal is taken:
 *
 *   wide     one line per setting: time, operations per second and ratio beside each other
 *   medium   two lines: the ratio below
 *   narrow   three lines: time, operations per second, ratio
 *   list     no columns: one line per contender, for very many contenders or very little room; a setting that nobody
 *            can do is one line
 */

import type { Cell, Group, MeasuredCell } from '../analysis/model.ts'
import { formatRate } from '../core/units.ts'
import type { ContenderRecord } from '../results/schema.ts'
import type { UnmeasuredCell } from './footnotes.ts'
import { concurrencyText, hasRatio, objectsText, ratioText, timeText } from './phrases.ts'
import { type Paint, padEnd, padStart, visibleWidth } from './terminal.ts'

export interface GridOptions {
  readonly contenders: readonly ContenderRecord[]
  /** Labels as headings, with their marks. */
  readonly headings: readonly string[]
  readonly width: number
  readonly paint: Paint
  /** The number of a footnote for a cell without a result. */
  footnote(cell: UnmeasuredCell): number
}

/** What a cell shows: three texts, or one that stands for all of them. */
interface Content {
  readonly time: string
  readonly rate: string
  readonly ratio: string
}

interface Row {
  readonly labels: readonly [string, string]
  readonly contents: readonly Content[]
}

const gap = '  '

/** One list of lines per scenario, all in the same arrangement. */
export function renderGrids(scenarios: readonly (readonly Group[])[], options: GridOptions): string[][] {
  const rowsOf = scenarios.map((groups) =>
    groups.map(
      ({ setting, cells }): Row => ({
        labels: [concurrencyText(setting.concurrency), objectsText(setting.objects)],
        contents: cells.map((cell) => contentOf(cell, options)),
      }),
    ),
  )
  for (const arrange of [wide, medium, narrow]) {
    const grids = rowsOf.map((rows) => arrange(rows, options))
    if (grids.flat().every((line) => visibleWidth(line) <= options.width)) return grids
  }
  return rowsOf.map((rows) => list(rows, options))
}

function contentOf(cell: Cell, { contenders, paint, footnote }: GridOptions): Content {
  if (cell.status !== 'measured') {
    const word = cell.status === 'missing' ? 'not reached' : cell.status
    const text = `${word} [${footnote(cell)}]`
    return { time: paint(cell.status === 'failed' ? 'red' : 'dim', text), rate: '', ratio: '' }
  }
  const time = timeText(cell.timePerOperationNs)
  const rate = cell.throughputPerSecond === undefined ? '–' : formatRate(cell.throughputPerSecond.median)
  return {
    time: cell.fastest ? `${paint('green', `${time}*`)}` : `${time} `,
    rate: paint('dim', rate),
    ratio: hasRatio(cell, contenders.length) ? paintRatio(cell, paint) : '',
  }
}

function paintRatio({ ratio }: MeasuredCell, paint: Paint): string {
  const text = ratioText(ratio)
  const isProven = ratio.kind === 'paired' && (ratio.verdict === 'faster' || ratio.verdict === 'slower')
  return isProven ? text : paint('dim', text)
}

function wide(rows: readonly Row[], options: GridOptions): string[] {
  const columns = options.contenders.map((_, column) => {
    const contents = rows.map((row) => row.contents[column]!)
    const widths = widthsOf(contents)
    return contents.map(
      ({ time, rate, ratio }) =>
        `${padStart(time, widths.time)}${gap}${padStart(rate, widths.rate)}${gap}${padEnd(ratio, widths.ratio)}`,
    )
  })
  const concurrencyWidth = Math.max(...rows.map(({ labels }) => labels[0].length))
  const objectsWidth = Math.max(...rows.map(({ labels }) => labels[1].length))
  const labels = rows.map(({ labels: [concurrency, objects] }, index) => {
    const isRepeated = rows[index - 1]?.labels[0] === concurrency
    return `${padEnd(isRepeated ? '' : concurrency, concurrencyWidth)}${gap}${padStart(objects, objectsWidth)}`
  })
  return table(
    labels.map((label, row) => ({ labels: [label], columns: columns.map((column) => [column[row]!]) })),
    options,
  )
}

function medium(rows: readonly Row[], options: GridOptions): string[] {
  return stacked(rows, options, ({ time, rate, ratio }, widths) => [
    `${padStart(time, widths.time)}${gap}${padStart(rate, widths.rate)}`,
    ratio,
  ])
}

function narrow(rows: readonly Row[], options: GridOptions): string[] {
  return stacked(rows, options, ({ time, rate, ratio }) => [time.trimEnd(), rate, ratio])
}

function stacked(
  rows: readonly Row[],
  options: GridOptions,
  lines: (content: Content, widths: Widths) => string[],
): string[] {
  const columns = options.contenders.map((_, column) => {
    const contents = rows.map((row) => row.contents[column]!)
    const widths = widthsOf(contents)
    return contents.map((content) => lines(content, widths))
  })
  return table(
    rows.map(({ labels }, row) => ({ labels, columns: columns.map((column) => column[row]!) })),
    options,
  )
}

type Widths = { readonly [K in keyof Content]: number }

function widthsOf(contents: readonly Content[]): Widths {
  const widest = (pick: (content: Content) => string) =>
    Math.max(0, ...contents.map((content) => visibleWidth(pick(content))))
  return {
    time: widest(({ time }) => time),
    rate: widest(({ rate }) => rate),
    ratio: widest(({ ratio }) => ratio),
  }
}

/** Lines of rows that may have several lines each, below their headings. */
function table(
  rows: readonly { readonly labels: readonly string[]; readonly columns: readonly (readonly string[])[] }[],
  { headings, paint }: GridOptions,
): string[] {
  const labelWidth = Math.max(...rows.flatMap(({ labels }) => labels.map(visibleWidth)))
  const widths = headings.map((heading, column) =>
    Math.max(visibleWidth(heading), ...rows.flatMap(({ columns }) => columns[column]!.map(visibleWidth))),
  )
  const heading = headings.map((text, column) => padEnd(paint('bold', text), widths[column]!))
  const rule = [labelWidth, ...widths].map((width) => '─'.repeat(width)).join(gap)
  const lines = [[' '.repeat(labelWidth), ...heading].join(gap), paint('dim', rule)]
  for (const [index, { labels, columns }] of rows.entries()) {
    const isNewGroup = index > 0 && labels.length > 1 && labels[0] !== rows[index - 1]!.labels[0]
    if (isNewGroup) lines.push('')
    const height = Math.max(
      ...columns.map((column) => column.findLastIndex((line) => line !== '') + 1),
      labels.length,
    )
    for (let line = 0; line < height; line++) {
      const cells = columns.map((column, place) => padEnd(column[line] ?? '', widths[place]!))
      lines.push([padEnd(labels[line] ?? '', labelWidth), ...cells].join(gap))
    }
  }
  return lines.map((line) => line.trimEnd())
}

function list(rows: readonly Row[], { headings, paint }: GridOptions): string[] {
  const contents = rows.flatMap((row) => row.contents)
  const widths = widthsOf(contents)
  const labelWidth = Math.max(...headings.map(visibleWidth))
  return rows.flatMap(({ labels, contents: cells }) => {
    const heading = paint('bold', labels.join(', '))
    const [first] = cells
    const isOneReason = cells.every(({ time, rate }) => rate === '' && time === first?.time)
    if (isOneReason) return [`${heading}${gap}${first?.time}`]
    return [
      heading,
      ...cells.map(({ time, rate, ratio }, column) =>
        [
          ` ${padEnd(headings[column]!, labelWidth)}`,
          padStart(time, widths.time),
          padStart(rate, widths.rate),
          ratio,
        ]
          .join(gap)
          .trimEnd(),
      ),
    ]
  })
}
