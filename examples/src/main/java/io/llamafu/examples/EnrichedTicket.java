package io.llamafu.examples;

import io.llamafu.flink.Answered;
import io.llamafu.flink.Completion;

import javax.annotation.Nullable;

/**
 * A ticket with what the model added, as {@link EnrichJob} writes it.
 *
 * @param stack of the tenant's route
 * @param label null if there was an error
 * @param error its code; null if there is a label
 */
record EnrichedTicket(
        String id, String tenant, String text, String stack, @Nullable String label, @Nullable String error) {
    static EnrichedTicket of(Answered<Ticket> answered) {
        Ticket ticket = answered.record();
        Completion completion = answered.completion();
        return new EnrichedTicket(
                ticket.id(),
                ticket.tenant(),
                ticket.text(),
                completion.getStack(),
                completion.getText(),
                completion.getErrorCode());
    }
}
