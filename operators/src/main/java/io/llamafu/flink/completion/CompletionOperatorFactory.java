package io.llamafu.flink.completion;

import org.apache.flink.annotation.Internal;
import org.apache.flink.streaming.api.operators.AbstractStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.OneInputStreamOperatorFactory;
import org.apache.flink.streaming.api.operators.StreamOperator;
import org.apache.flink.streaming.api.operators.StreamOperatorParameters;
import org.apache.flink.streaming.api.operators.legacy.YieldingOperatorFactory;

import java.io.Serializable;
import java.time.Duration;

import static org.apache.flink.util.Preconditions.checkArgument;
import static org.apache.flink.util.Preconditions.checkNotNull;

/** Creates a {@link CompletionOperator}. */
@Internal
@SuppressWarnings("deprecation") // the interface only prevents chaining to a source of the old kind
public final class CompletionOperatorFactory<E, R> extends AbstractStreamOperatorFactory<R>
        implements OneInputStreamOperatorFactory<E, R>, YieldingOperatorFactory<R> {
    private static final long serialVersionUID = 1L;

    private final CompletionFunction<E, R> function;
    private final Settings settings;

    /**
     * Settings of the operator.
     *
     * @param ordered whether completions are emitted in the order of their records
     * @param capacity the most records in flight
     * @param patience from asking for a record to checking whether the engine hangs
     */
    public record Settings(boolean ordered, int capacity, Duration patience) implements Serializable {
        public Settings {
            checkArgument(capacity >= 1, "capacity is %s, but must be 1 or more.", capacity);
            checkNotNull(patience, "patience is null");
        }
    }

    public CompletionOperatorFactory(CompletionFunction<E, R> function, Settings settings) {
        this.function = checkNotNull(function, "function is null");
        this.settings = checkNotNull(settings, "settings is null");
    }

    @Override
    @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"
    }) // Flink requests the type that getStreamOperatorClass returns
    public <T extends StreamOperator<R>> T createStreamOperator(StreamOperatorParameters<R> parameters) {
        return (T) new CompletionOperator<>(parameters, function, settings, getMailboxExecutor());
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class<? extends StreamOperator> getStreamOperatorClass(ClassLoader classLoader) {
        return CompletionOperator.class;
    }
}
