package io.llamafu.flink;

import io.llamafu.engine.SharedEngines;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.DataStream;

import java.time.Duration;

/**
 * Answers the records of a stream with a local model, each with the LoRA adapters of its key's route.
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

    /**
     * Sets options that keep checkpoints fast and a job alive while records queue before the model. Options already set
     * are kept.
     *
     * <pre>{@code
     * StreamExecutionEnvironment env =
     *         StreamExecutionEnvironment.getExecutionEnvironment(Llamafu.recommended(new Configuration()));
     * }</pre>
     *
     * <p>These are unaligned checkpoints every 30 seconds, of which 100 may fail in a row. {@code docs/operators.md}
     * lists further options for the configuration of the cluster.
     *
     * @return the same configuration
     */
    public static Configuration recommended(Configuration configuration) {
        setIfMissing(configuration, CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(30));
        setIfMissing(configuration, CheckpointingOptions.ENABLE_UNALIGNED, true);
        setIfMissing(configuration, CheckpointingOptions.TOLERABLE_FAILURE_NUMBER, 100);
        return configuration;
    }

    private static <T> void setIfMissing(Configuration configuration, ConfigOption<T> option, T value) {
        if (!configuration.contains(option)) {
            configuration.set(option, value);
        }
    }

    /** Starts the description of a completion; {@link CompletionBuilder#build()} adds it to the job. */
    public static <T> CompletionBuilder<T> complete(DataStream<T> records) {
        return new CompletionBuilder<>(records, SharedEngines::acquire);
    }
}
