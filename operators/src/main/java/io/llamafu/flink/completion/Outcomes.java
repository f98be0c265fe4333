package io.llamafu.flink.completion;

import io.llamafu.LlamafuException;
import io.llamafu.engine.Completion.Timings;
import io.llamafu.flink.Completion;
import io.llamafu.flink.ResolvedAdapter;
import io.llamafu.flink.routing.RoutedRequest;

import java.util.List;

/** The record that leaves for a request. */
final class Outcomes {
    private Outcomes() {}

    static Completion answered(RoutedRequest request, io.llamafu.engine.Completion answer) {
        List<ResolvedAdapter> adapters = answer.adapters().stream()
                .map(adapter -> new ResolvedAdapter(adapter.name(), adapter.scale(), adapter.digest()))
                .toList();
        Timings timings = answer.timings();
        return of(request)
                .setText(answer.text())
                .setFinishReason(answer.finishReason().name())
                .setAdapters(adapters)
                .setPromptTokens(answer.promptTokens())
                .setCachedPromptTokens(answer.cachedPromptTokens())
                .setGeneratedTokens(answer.generatedTokens())
                .setQueueMillis(timings.queueMillis())
                .setFirstTokenMillis(timings.firstTokenMillis())
                .setTotalMillis(timings.totalMillis())
                .build();
    }

    static Completion withoutText(RoutedRequest request) {
        return of(request).build();
    }

    static Completion failed(RoutedRequest request, LlamafuException error) {
        return of(request)
                .setErrorCode(error.code().name())
                .setError(error.getMessage())
                .build();
    }

    private static Completion.Builder of(RoutedRequest request) {
        return Completion.newBuilder()
                .setId(request.getId())
                .setKey(request.getKey())
                .setPrompt(request.getPrompt())
                .setStack(request.getStack())
                .setEventTime(request.getEventTime());
    }
}
