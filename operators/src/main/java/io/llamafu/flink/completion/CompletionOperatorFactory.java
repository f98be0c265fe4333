package io.llamafu.flink.completion;

import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.routing.Carrier;
import org.apache.flink.annotation.Internal;
import org.apache.flink.streaming.api.operators.AbstractStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.OneInputStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.operators.legacy.YieldingOperatorFactory;
import org.apache.flink.util.function.SerializableFunction;

import java.io.Serializable;

import static org.apache.flink.util.Preconditions.checkArgument;
import static org.apache.flink.util.Preconditions.checkNotNull;

/** Creates a {@link CompletionOperator}. */
@Internal
@SuppressWarnings("deprecation") // the interface only prevents chaining to a source of the old kind
public final class CompletionOperatorFactory<E, R> extends AbstractStreamOperatorFactory<R>
        implements OneInputStreamOperatorFactory<E, R>, YieldingOperatorFactory<R> {
    private static final long serialVersionUID = 1L;

    private final Carrier<?, E, R> carrier;
    private final Settings settings;
    private final SerializableFunction<EngineOptions, SharedEngines.Lease> engines;

    /**
     * Settings of the operator.
     *
     * @param sampling for records without their own
     * @param ordered whether completions are emitted in the order of their records
     * @param capacity the most records in flight
     */
    public record Settings(LlamafuOptions options, SamplingOptions sampling, boolean ordered, int capacity)
            implements Serializable {
        public Settings {
            checkNotNull(options, "options is null");
            checkNotNull(sampling, "sampling is null");
            checkArgument(capacity >= 1, "capacity is %s, but must be 1 or more.", capacity);
        }
    }

    /**
     * A factory.
     *
     * @param engines provides the engine of each subtask
     */
    public CompletionOperatorFactory(
            Carrier<?, E, R> carrier,
            Settings settings,
            SerializableFunction<EngineOptions, SharedEngines.Lease> engines) {
        this.carrier = checkNotNull(carrier, "carrier is null");
        this.settings = checkNotNull(settings, "settings is null");
        this.engines = checkNotNull(engines, "engines is null");
    }

    @Override
    @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"
    }) // Flink requests the type that getStreamOperatorClass returns
    public <T extends StreamOperator<R>> T createStreamOperator(StreamOperatorParameters<R> parameters) {
        return (T) new CompletionOperator<>(parameters, carrier, settings, engines, getMailboxExecutor());
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
        return CompletionOperator.class;
    }
}
