package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.PromptTemplate;
import io.llamafu.flink.options.LabelOptions;
import io.llamafu.grammar.LabelGrammar;
import org.apache.flink.annotation.Internal;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.function.ThrowingRunnable;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Builds the request of a record, with the default route; routers may override the route. */
@Internal
public final class RequestFunction<T, E> extends ProcessFunction<T, E> {
    private static final long serialVersionUID = 1L;

    private final RecordFields<T> fields;
    private final PromptTemplate template;
    private final AdapterStack defaultRoute;
    private final Carrier<T, E, ?> carrier;

    public RequestFunction(
            RecordFields<T> fields, PromptTemplate template, AdapterStack defaultRoute, Carrier<T, E, ?> carrier) {
        this.fields = checkNotNull(fields, "fields is null");
        this.template = checkNotNull(template, "template is null");
        this.defaultRoute = checkNotNull(defaultRoute, "defaultRoute is null");
        this.carrier = checkNotNull(carrier, "carrier is null");
    }

    @Override
    public void processElement(T value, Context context, Collector<E> out) throws Exception {
        RoutedRequest request = RoutedRequest.newBuilder()
                .setStack(defaultRoute.toString())
                .setEventTime(EventTimes.of(context.timestamp()))
                .build();
        // Each field separately, so the outcome of a bad prompt still has its id.
        attempt(request, () -> takeId(value, request));
        attempt(request, () -> takeKey(value, request));
        attempt(request, () -> takePrompt(value, request));
        attempt(request, () -> takeOverrides(value, request));
        out.collect(carrier.carry(value, request));
    }

    private static void attempt(RoutedRequest request, ThrowingRunnable<Exception> step) throws Exception {
        try {
            step.run();
        } catch (LlamafuException e) {
            if (request.getErrorCode() == null) {
                reject(request, e);
            }
        }
    }

    private void takeId(T value, RoutedRequest request) {
        String id = RecordFields.apply(fields.id(), value);
        Texts.requireWellFormed("The id of the record", id);
        request.setId(id);
    }

    private void takeKey(T value, RoutedRequest request) throws Exception {
        if (fields.key() == null) {
            return;
        }
        String key = fields.key().getKey(value);
        if (key == null) {
            throw new LlamafuException(
                    ErrorCode.INVALID_REQUEST, "The record has a null key, so no route can be chosen for it.");
        }
        Texts.requireWellFormed("The key of the record", key);
        request.setKey(key);
    }

    private void takePrompt(T value, RoutedRequest request) {
        String text = fields.prompt().apply(value);
        if (text == null) {
            throw new LlamafuException(
                    ErrorCode.INVALID_REQUEST, "The record has a null prompt, so there is nothing to answer.");
        }
        PromptTemplate.requireText(List.of(text));
        Texts.requireWellFormed("The prompt", text);
        PromptParts.write(template.render(text), request);
    }

    private void takeOverrides(T value, RoutedRequest request) {
        String stack = RecordFields.apply(fields.stack(), value);
        if (stack != null) {
            request.setStack(AdapterStack.parse(stack).toString());
            request.setPinned(true);
        }
        Map<String, Float> scales = RecordFields.apply(fields.scales(), value);
        if (scales != null && !scales.isEmpty()) {
            request.setScales(checkedScales(scales));
        }
        SamplingOptions sampling = RecordFields.apply(fields.sampling(), value);
        if (sampling != null) {
            Texts.requireWellFormed("The grammar", sampling.grammar());
            request.setSampling(Samplings.toAvro(sampling));
        }
        request.setMaxTokens(RecordFields.apply(fields.maxTokens(), value));
        List<String> labels = RecordFields.apply(fields.labels(), value);
        if (labels != null) {
            if (sampling != null && !sampling.grammar().isEmpty()) {
                throw new LlamafuException(
                        ErrorCode.INVALID_REQUEST,
                        "The record has both labels and a grammar, but an answer can follow one only; leave one out.");
            }
            LabelOptions.requireSeparated(labels, ErrorCode.INVALID_REQUEST);
            request.setLabels(List.copyOf(LabelGrammar.distinct(labels)));
        }
    }

    /** Avro maps cannot hold null. */
    private static Map<String, Float> checkedScales(Map<String, Float> scales) {
        scales.forEach((adapter, scale) -> {
            Texts.requireWellFormed("The name of an adapter", adapter);
            if (adapter == null || scale == null) {
                throw new LlamafuException(
                        ErrorCode.INVALID_REQUEST,
                        "The record sets the scale of adapter '%s' to %s; leave out what has no scale."
                                .formatted(adapter, scale));
            }
        });
        return new HashMap<>(scales);
    }

    /** Marks the request as failed: routers and the engine skip it. */
    static void reject(RoutedRequest request, LlamafuException error) {
        request.setErrorCode(error.code().name());
        request.setError(error.sentence());
    }
}
