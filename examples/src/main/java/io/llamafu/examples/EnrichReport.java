package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;

import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The enriched tickets compared with what they should be.
 *
 * @param tickets sent
 * @param enriched tickets with a label
 * @param duplicates further labels of a ticket
 * @param deadLetters tickets with an error
 * @param wrongStacks tickets labelled by other adapters than those of the last route of their tenant
 * @param exactMatch the share of tickets with exactly the expected label
 */
record EnrichReport(int tickets, int enriched, int duplicates, int deadLetters, int wrongStacks, double exactMatch)
        implements ExampleReport {
    static EnrichReport of(List<Ticket> asked, List<EnrichedTicket> enriched, List<EnrichedTicket> deadLetters) {
        Map<String, Ticket> byId = asked.stream().collect(Collectors.toMap(Ticket::id, Function.identity()));
        int wrongStacks = 0;
        int exact = 0;
        for (EnrichedTicket ticket : enriched) {
            Ticket expected = byId.get(ticket.id());
            wrongStacks +=
                    AdapterStack.parse(ticket.stack()).equals(AdapterStack.parse(expected.expectedStack())) ? 0 : 1;
            exact += expected.expected().equals(ticket.label()) ? 1 : 0;
        }
        int once = (int) enriched.stream().map(EnrichedTicket::id).distinct().count();
        return new EnrichReport(
                asked.size(),
                once,
                enriched.size() - once,
                deadLetters.size(),
                wrongStacks,
                Math.floor(exact * 1000.0 / asked.size()) / 1000);
    }

    @Override
    public boolean isSound() {
        return enriched == tickets && duplicates == 0 && deadLetters == 0 && wrongStacks == 0;
    }
}
