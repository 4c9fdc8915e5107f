/** `shootout completion`: prints the script with which a shell completes commands, options and names. */

import { Argument, type Command } from 'commander'
import { type CompletedCommand, completionModel } from './model.ts'
import { bashScript, fishScript, zshScript } from './shells.ts'

const scripts: Readonly<Record<string, (model: readonly CompletedCommand[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
}

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a script that completes commands, options, storages and scenarios')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(scripts)))
    .addHelpText(
      'after',
      `
Load it in the file that your shell reads when it starts:
  bash (~/.bashrc)                      source <(shootout completion bash)
  zsh (~/.zshrc, after compinit)        source <(shootout completion zsh)
  fish (~/.config/fish/config.fish)     shootout completion fish | source`,
    )
    .action((shell: string) => {
      process.stdout.write(scripts[shell]!(completionModel(program)))
    })
}
