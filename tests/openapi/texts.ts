import { type OpenApiDocument, operationsOf } from './document.ts'

/** The verbs that a summary may begin with. A new one is added here. */
const VERBS = new Set(
  `Accept Add Authenticate Cancel Change Check Complete Confirm Create Delete Disable Drop Enable End Erase Export Get Import Introspect
   Invite List Log Mail Mark Notify Poll Publish Queue Record Refresh Register Remove Replace Replay Request Revoke Rotate Send Set Store Synchronize Undo
   Update Validate Verify`.split(/\s+/),
)
const SUMMARY_MAX = 60

/** Lists the operations, parameters and properties of a document whose summary or description is missing or unsuitable. */
export function textFaults(document: OpenApiDocument): string[] {
  const summaries = new Set<string>()
  const faults = operationsOf(document).flatMap(({ call, operation }) => {
    const { description, parameters = [], requestBody, responses, summary } = operation
    const isRepeated = summaries.has(summary)
    summaries.add(summary)
    const bodies = [['body', requestBody] as const, ...Object.entries(responses)]
    return [
      ...summaryFaults(call, summary, isRepeated),
      ...(description ? [] : [`${call} has no description`]),
      ...parameters.flatMap((parameter) => [
        ...(parameter.description ? [] : [`${call}: the parameter ${parameter.name} has no description`]),
        ...propertyFaults(parameter.schema, `${call}: ${parameter.name}`),
      ]),
      ...bodies.flatMap(([name, body]) =>
        Object.values(body?.content ?? {}).flatMap(({ schema }) => propertyFaults(schema, `${call}: ${name}`)),
      ),
    ]
  })
  const shared = Object.entries(document.components.schemas ?? {})
  return [...faults, ...shared.flatMap(([name, schema]) => propertyFaults(schema as Schema, name))]
}

function summaryFaults(call: string, summary: string, isRepeated: boolean): string[] {
  if (!summary) return [`${call} has no summary`]
  const faults: string[] = []
  if (!VERBS.has(summary.split(' ')[0] ?? ''))
    faults.push(`${call}: the summary does not begin with an imperative: ${summary}`)
  if (summary.length > SUMMARY_MAX) faults.push(`${call}: the summary has more than ${SUMMARY_MAX} characters`)
  if (summary.endsWith('.')) faults.push(`${call}: the summary ends with a full stop`)
  if (isRepeated) faults.push(`${call}: another operation has the same summary`)
  return faults
}

interface Schema {
  $ref?: string
  description?: string
  properties?: Record<string, Schema>
  items?: Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
}

/** Lists the properties without a description, at any depth. */
function propertyFaults(schema: Schema, path: string): string[] {
  const { allOf = [], anyOf = [], items, oneOf = [], properties = {} } = schema
  const ofProperties = Object.entries(properties).flatMap(([name, property]) => {
    const at = `${path}.${name}`
    const isDescribed = property.$ref !== undefined || property.description
    return [...(isDescribed ? [] : [`${at} has no description`]), ...propertyFaults(property, at)]
  })
  const parts = [...allOf, ...anyOf, ...oneOf, ...(items ? [items] : [])]
  return [...ofProperties, ...parts.flatMap((part) => propertyFaults(part, path))]
}
