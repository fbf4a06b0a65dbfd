import type { Command } from 'commander'
import { addCommand, withTool } from '../../tool/command.ts'
import { displayed } from './webhook.ts'

/** The fields that fit a terminal; the other output formats have all of them. */
const COLUMNS = ['id', 'url', 'types', 'status']

/** Adds `webhooks list`. */
export function addList(webhooks: Command): void {
  addCommand(webhooks, 'list', 'List the webhooks', ['ch202 webhooks list', 'ch202 webhooks list -o json']).action(
    withTool(async (tool) => {
      const api = await tool.api()
      const { items } = await api.auth((auth) => auth.admin.webhooks.get())
      await tool.out.list(
        items.map((webhook) => displayed(tool, webhook)),
        COLUMNS,
      )
    }),
  )
}
