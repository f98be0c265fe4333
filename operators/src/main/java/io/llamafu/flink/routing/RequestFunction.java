package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.PromptTemplate;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.function.SerializableFunction;

import javax.annotation.Nullable;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Takes key, prompt and id out of a record; until a router says otherwise, it has the default route. */
@Internal
public final class RequestFunction<T> extends ProcessFunction<T, RoutedRequest> {
    private static final long serialVersionUID = 1L;

    @Nullable
    private final KeySelector<T, String> key;

    private final SerializableFunction<T, String> prompt;

    @Nullable
    private final SerializableFunction<T, String> id;

    private final PromptTemplate template;
    private final AdapterStack defaultRoute;

    /**
     * @param key null for a job without keys
     * @param id null for a job without ids
     */
    public RequestFunction(
            @Nullable KeySelector<T, String> key,
            SerializableFunction<T, String> prompt,
            @Nullable SerializableFunction<T, String> id,
            PromptTemplate template,
            AdapterStack defaultRoute) {
        this.key = key;
        this.prompt = checkNotNull(prompt, "prompt is null");
        this.id = id;
        this.template = checkNotNull(template, "template is null");
        this.defaultRoute = checkNotNull(defaultRoute, "defaultRoute is null");
    }

    @Override
    public void processElement(T value, Context context, Collector<RoutedRequest> out) throws Exception {
        String text = prompt.apply(value);
        RoutedRequest request = RoutedRequest.newBuilder()
                .setId(id == null ? null : id.apply(value))
                .setKey(key == null ? null : key.getKey(value))
                .setPrompt(text == null ? null : template.render(text))
                .setStack(defaultRoute.toString())
                .setEventTime(context.timestamp())
                .build();
        if (key != null && request.getKey() == null) {
            reject(request, "The record has a null key, so no route can be chosen for it.");
        } else if (text == null) {
            reject(request, "The record has a null prompt, so there is nothing to answer.");
        }
        out.collect(request);
    }

    /** Lets the record pass the router, which would need a key, to be one coded error. */
    static void reject(RoutedRequest request, String error) {
        request.setErrorCode(ErrorCode.INVALID_REQUEST.name());
        request.setError(error);
    }
}
