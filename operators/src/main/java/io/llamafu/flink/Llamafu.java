package io.llamafu.flink;

import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.DataStream;

import java.time.Duration;

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

    /**
     * Sets what keeps checkpoints fast and a job alive while records queue before the model; what is set already stays.
     *
     * <pre>{@code
     * StreamExecutionEnvironment env =
     *         StreamExecutionEnvironment.getExecutionEnvironment(Llamafu.recommended(new Configuration()));
     * }</pre>
     *
     * <p>Checkpoints every 30 seconds, unaligned, of which 100 may fail in a row. What the cluster's
     * configuration should say besides is in the guide.
     *
     * @return the configuration
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

    /** Begins the description of a completion; nothing is added to the job before {@link CompletionBuilder#build()}. */
    public static <T> CompletionBuilder<T> complete(DataStream<T> records) {
        return new CompletionBuilder<>(records);
    }
}
