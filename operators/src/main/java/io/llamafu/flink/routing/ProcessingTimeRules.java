package io.llamafu.flink.routing;

import io.llamafu.flink.RouteRule;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ReadOnlyBroadcastState;
import org.apache.flink.streaming.api.functions.co.BroadcastProcessFunction;
import org.apache.flink.util.Collector;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Gives each record the stack of the rule that applies to its key now. A router after it may override that. */
@Internal
public final class ProcessingTimeRules<E> extends BroadcastProcessFunction<E, RouteRule, E> {
    private static final long serialVersionUID = 1L;

    private final Carrier<?, E, ?> carrier;
    private final AdapterPrefetch prefetch;
    private final MapStateDescriptor<String, RuleHistory> rules = RuleBook.descriptor();
    /** Null until the state has been read. */
    private transient RuleBook book;

    public ProcessingTimeRules(Carrier<?, E, ?> carrier, AdapterPrefetch prefetch) {
        this.carrier = checkNotNull(carrier, "carrier is null");
        this.prefetch = checkNotNull(prefetch, "prefetch is null");
    }

    @Override
    public void processElement(E element, ReadOnlyContext context, Collector<E> out) throws Exception {
        RoutedRequest request = carrier.request(element);
        if (request.getErrorCode() == null && !request.getPinned()) {
            book(context.getBroadcastState(rules)).apply(request, RuleBook.ALWAYS);
        }
        out.collect(element);
    }

    @Override
    public void processBroadcastElement(RouteRule rule, Context context, Collector<E> out) throws Exception {
        BroadcastState<String, RuleHistory> state = context.getBroadcastState(rules);
        book(state).replace(rule, state);
        prefetch.prefetch(rule.getStack(), rule.getVariants());
    }

    private RuleBook book(ReadOnlyBroadcastState<String, RuleHistory> state) throws Exception {
        if (book == null) {
            book = RuleBook.read(state);
        }
        return book;
    }
}
