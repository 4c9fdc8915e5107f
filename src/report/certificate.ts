/** The selftest's result for a terminal, and as a badge. */

import type { Certificate, CertificateVerdict } from '../analysis/gate/certificate.ts'
import { counterText } from './gate-phrases.ts'
import { percentText } from './phrases.ts'
import type { RenderOptions } from './renderer.ts'
import { painter, wrap } from './terminal.ts'

const meanings: Readonly<Record<CertificateVerdict, string>> = {
  proven: 'On this machine the gate did what it promises.',
  undecided:
    'Nothing contradicts what the gate promises, but these gates do not show it: they could not always tell, or were too few.',
  missed: 'The gate passed more slowdowns than it promises to.',
  broken: 'The gate found what was not there, or counted wrong. Please report this certificate.',
}

const colors: Readonly<Record<CertificateVerdict, 'green' | 'yellow' | 'red'>> = {
  proven: 'green',
  undecided: 'yellow',
  missed: 'red',
  broken: 'red',
}

export function renderCertificate(certificate: Certificate, { width, color }: RenderOptions): string {
  const paint = painter(color)
  const { falseAlarms, power, counted, trials, environment, verdict } = certificate
  const lines = [
    `False alarms: ${falseAlarms.failed} of ${falseAlarms.gates} gates of equal sides (true rate below ${percentText(falseAlarms.rateMax)}, 95 %)`,
    ...power.map(
      ({ extra, gates, failed, undecided, powerMin }) =>
        `${percentText(extra)} more work: found by ${failed} of ${gates} gates${undecided === 0 ? '' : `, ${undecided} could not tell`} (true power above ${percentText(powerMin)}, 95 %)`,
    ),
    ...counted.map(
      ({ storage, scenario, extra, changes, isRight }) =>
        `${storage}, ${scenario}, extra ${extra}: ${isRight ? '' : 'WRONG, '}${changes.length === 0 ? 'every counter equal' : changes.map(counterText).join('; ')}`,
    ),
  ]
  const details = trials.map(({ storage, scenario, extra, verdict: said, ratio, interval, pairs }) => {
    const range = interval === undefined ? '' : ` (${interval.low.toFixed(3)}–${interval.high.toFixed(3)})`
    const found = ratio === undefined ? 'no pairs' : `measured ${ratio.toFixed(3)}${range}, ${pairs} pairs`
    return paint('dim', `  ${storage}, ${scenario}, true ratio ${(1 + extra).toFixed(2)}: ${found}: ${said}`)
  })
  const machine = `${environment.cpuModel}, ${environment.cpus} processors, Node ${environment.node}, load ${environment.load} at the start`
  return `${[
    ...details,
    '',
    ...lines.map((line) => wrap(line, width, 2)),
    '',
    wrap(`${paint(colors[verdict], verdict.toUpperCase())}: ${meanings[verdict]}`, width),
    wrap(machine, width),
  ].join('\n')}\n`
}

/** Fill colours of the right half, dark enough for white letters. */
const fills = { green: '#2a7d2e', yellow: '#8a6100', red: '#b3261e' } as const

/** About the width of a letter of 11 px Verdana, the common font of badges. */
const letterWidth = 6.6

export function renderBadge({ falseAlarms, power, verdict }: Certificate): string {
  const smallest = power.find(({ gates, failed }) => failed === gates)
  const right =
    verdict === 'proven' && smallest !== undefined
      ? `${falseAlarms.failed}/${falseAlarms.gates} false, finds ${percentText(smallest.extra, '')}`
      : verdict
  const left = 'gate selftest'
  const [a, b] = [left, right].map((text) => Math.round(text.length * letterWidth) + 12) as [number, number]
  const fill = fills[colors[verdict]]
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${a + b}" height="20" role="img" aria-label="${left}: ${right}">
<title>${left}: ${right}</title>
<rect width="${a}" height="20" rx="3" fill="#444"/>
<rect x="${a - 3}" width="${b + 3}" height="20" rx="3" fill="${fill}"/>
<rect x="${a - 3}" width="6" height="20" fill="${fill}"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="${a / 2 - 1}" y="14">${left}</text>
<text x="${a + b / 2}" y="14">${right}</text>
</g>
</svg>
`
}
