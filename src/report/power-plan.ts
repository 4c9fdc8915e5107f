/** What a measurement could see, in words for a terminal. */

import type { CellPlan, Help, PowerPlan } from '../analysis/power-plan.ts'
import { counted, formatWait } from '../core/units.ts'
import { percentText, settingText } from './phrases.ts'
import { padEnd, painter, wrap } from './terminal.ts'

const marks = { yes: ['yes', 'green'], budget: ['no', 'yellow'], noise: ['no', 'red'] } as const

export function renderPowerPlan(
  plan: PowerPlan,
  { width, color }: { readonly width: number; readonly color: boolean },
): string {
  const paint = painter(color)
  const names = plan.cells.map(cellText)
  const nameWidth = Math.max(0, ...names.map((name) => name.length))
  const lines = plan.cells.flatMap((cell, index) => {
    const [mark, style] = marks[cell.reaches]
    const head = `${paint(style, padEnd(mark, 3))}  ${padEnd(names[index]!, nameWidth)}  ${sentence(cell, plan)}`
    return [
      wrap(head, width, 5),
      ...cell.help.map(
        (help) => `       ${wrap(helpText(help, cell), width - 7).replaceAll('\n', '\n       ')}`,
      ),
    ]
  })
  return `${lines.join('\n')}\n\n${summaryOf(plan)
    .map((line) => wrap(line, width))
    .join('\n')}\n`
}

function cellText({ setting, contender }: CellPlan): string {
  return `${contender === undefined ? '' : `${contender}, `}${setting.scenario}, ${settingText(setting)}`
}

function sentence({ sigma, needed, unit, timeNs, most, reaches }: CellPlan, { detect }: PowerPlan): string {
  const spread = `spread ${fine(sigma)} from ${unit === 'pairs' ? 'pair to pair' : 'fork to fork'}`
  const count = `${needed} ${unit}${unit === 'forks' ? ' on each side' : ''}`
  if (reaches === 'noise')
    return `${spread}: ${percentText(detect)} would need ${count}, and ${most} is the most`
  const time = `${count}, ${formatWait(timeNs)}`
  return `${spread}: ${time}${reaches === 'budget' ? ', for which the budget leaves no time' : ''}`
}

function helpText(help: Help, { unit }: CellPlan): string {
  switch (help.kind) {
    case 'rounds':
      return `--rounds ${help.rounds}: ${help.needed} ${unit} would do, ${formatWait(help.timeNs)}`
    case 'detect':
      return `${fine(help.detect)} is the smallest slowdown that can be told here`
    case 'metric':
      return `CPU time spreads by ${fine(help.sigma)} only, but does not see this cell wait; a scenario that only computes, such as live-read with one worker, would be judged by it`
  }
}

/** A tenth of a percent matters here. */
function fine(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

function summaryOf({ cells, detect, budgetNs, timeNs }: PowerPlan): readonly string[] {
  const of = (wanted: CellPlan['reaches']) => cells.filter(({ reaches }) => reaches === wanted).length
  const able = of('yes')
  const lines = [
    `${able} of ${counted(cells.length, 'cell')} can tell ${percentText(detect)} within ${formatWait(budgetNs)}.`,
  ]
  if (of('budget') > 0)
    lines.push(
      `All that are quiet enough: --budget ${Math.ceil(timeNs / 60e9)}m. Or fewer cells: --scenario, --objects, --concurrency.`,
    )
  if (of('noise') > 0)
    lines.push(
      `For the rest, ${percentText(detect)} takes a quieter machine: shootout doctor says what disturbs this one.`,
    )
  return lines
}
