/** The command `help`. Commander has one, too, but for a command that does not exist it prints the help of all. */

import type { Command } from 'commander'

/** @param group has commands, which are registered already, and does nothing itself */
export function registerHelp(group: Command): void {
  group
    .helpCommand(false)
    .command('help')
    .argument('[command...]')
    .description('print help for a command')
    .action((names: readonly string[]) => {
      let found = group
      for (const name of names) {
        const next = found.commands.find((command) => command.name() === name)
        if (next === undefined) return refuse(found, name)
        found = next
      }
      return found.help()
    })
}

function refuse(command: Command, name: string): never {
  // Says what it says of every command that does not exist.
  if (command.commands.length > 0) command.parse([name], { from: 'user' })
  return command.error(`error: '${command.name()}' has no command '${name}'`)
}
