package io.llamafu.flink.label;

import io.llamafu.adapter.Sha256;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.Prompt;
import io.llamafu.flink.options.TextList;

import java.security.MessageDigest;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * The key of a question: the SHA-256 of all that decides its answer. These are the prompt with what it takes from the row, the
 * conversation around it, the model, the adapters with their scales, the sampling with its grammar, and the limits. A change of
 * another column of the row, or of the build of the engine, is no new question.
 */
final class QuestionKeys {
    private QuestionKeys() {}

    /** @param adapters as {@link Answer#adapters} */
    static String of(LabelSettings settings, String modelDigest, CompletionRequest request, String adapters) {
        MessageDigest digest = Sha256.start();
        put(digest, settings.chatDigest());
        put(digest, modelDigest);
        put(digest, adapters);
        put(digest, request.sampling().toString());
        put(digest, String.valueOf(request.maxTokens()));
        put(digest, TextList.format(request.stop()));
        request.labels().ifPresent(labels -> {
            put(digest, TextList.format(labels.labels()));
            put(digest, labels.scoring().name());
            put(digest, "%s %s %s".formatted(labels.calibration(), labels.minConfidence(), labels.abstainLabel()));
        });
        for (Prompt.Part part : request.prompt().parts()) {
            put(digest, part.controlTokens() ? "1" : "0");
            put(digest, part.text());
        }
        return Sha256.finish(digest);
    }

    private static void put(MessageDigest digest, String text) {
        byte[] bytes = text.getBytes(UTF_8);
        digest.update((bytes.length + ":").getBytes(UTF_8));
        digest.update(bytes);
    }
}
