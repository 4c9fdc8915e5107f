/** The help of every command, as it is printed where nothing is known of the width: 80 columns. */

import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { makeProgram } from '../../src/cli/program.ts'

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}

function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 80 })
  command.outputHelp()
  return text
}

test.each(everyCommand(makeProgram()).map((command) => [command.name(), command] as const))(
  'the help of %s fits into 80 columns',
  (_name, command) => {
    expect(
      helpOf(command)
        .split('\n')
        .filter((line) => line.length > 80),
    ).toEqual([])
  },
)

test('the list of commands has a line for each, in groups', () => {
  const help = helpOf(makeProgram())
  expect(help).toContain('Guard a storage against becoming slower:\n  gate ')
  expect(help).not.toContain('[options] <')
})

test('every option that takes a list may be repeated', () => {
  for (const command of everyCommand(makeProgram())) {
    for (const option of command.options.filter(({ flags }) => /<(?:list|labels)>/.test(flags))) {
      expect([command.name(), option.long, option.parseArg?.('b', 'a')]).toEqual([
        command.name(),
        option.long,
        'a,b',
      ])
    }
  }
})

test('defaults and choices are shown as one would type them', () => {
  const help = (name: string) => helpOf(makeProgram().commands.find((one) => one.name() === name)!)
  expect(help('compare')).toContain('what is printed (table, md, json; default: table)')
  for (const name of makeProgram().commands.map((one) => one.name())) {
    expect([name, help(name).match(/default: ["[].*/)]).toEqual([name, null])
  }
})

test.each([
  [['help', 'rum'], "unknown command 'rum'\n(Did you mean run?)"],
  [['help', 'nope'], "unknown command 'nope'"],
  [['help', 'file', 'verfy'], "unknown command 'verfy'\n(Did you mean verify?)"],
  [['file', 'help', 'nope'], "unknown command 'nope'"],
  [['help', 'check', './mine.js'], "'check' has no command './mine.js'"],
])('%j is refused as an unknown command is', (words, message) => {
  const said = { help: '', errors: '' }
  const program = makeProgram()
  for (const command of everyCommand(program)) {
    command.configureOutput({
      writeOut: (part) => (said.help += part),
      writeErr: (part) => (said.errors += part),
    })
  }
  expect(() => program.parse(words, { from: 'user' })).toThrow(
    expect.objectContaining({ name: 'CommanderError', exitCode: 1 }),
  )
  expect(said).toEqual({ help: '', errors: expect.stringContaining(`shootout: ${message}`) })
})

test.each([
  [['help'], 'Usage: shootout [options] [command]'],
  [['help', 'run'], 'Usage: shootout run '],
  [['help', 'file', 'verify'], 'Usage: shootout file verify '],
  [['file', 'help', 'verify'], 'Usage: shootout file verify '],
])('%j prints its help', (words, usage) => {
  let help = ''
  const program = makeProgram()
  for (const command of everyCommand(program)) command.configureOutput({ writeOut: (part) => (help += part) })
  expect(() => program.parse(words, { from: 'user' })).toThrow(expect.objectContaining({ exitCode: 0 }))
  expect(help).toContain(usage)
})
