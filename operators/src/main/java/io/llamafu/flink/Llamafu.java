package io.llamafu.flink;

import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.streaming.api.datastream.DataStream;

/**
 * Answers the records of a stream with a local model, each with the LoRA adapters that its key's route names.
 *
 * <pre>{@code
 * DataStream<Completion> answers = Llamafu.complete(tickets)
 *         .keyBy(Ticket::tenant)
 *         .prompt(Ticket::text)
 *         .routes(routeChanges)
 *         .defaultRoute(AdapterStack.parse("general"))
 *         .with(options)
 *         .build();
 * }</pre>
 */
@PublicEvolving
public final class Llamafu {
    private Llamafu() {}

    /** Begins the description of a completion; nothing is added to the job before {@link CompletionBuilder#build()}. */
    public static <T> CompletionBuilder<T> complete(DataStream<T> records) {
        return new CompletionBuilder<>(records);
    }
}
