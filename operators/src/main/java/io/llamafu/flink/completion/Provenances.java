package io.llamafu.flink.completion;

import io.llamafu.adapter.Sha256;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.CompletionResult.Computation;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.AppliedLabels;
import io.llamafu.flink.AppliedSampling;
import io.llamafu.flink.Provenance;
import io.llamafu.flink.ResolvedAdapter;
import io.llamafu.flink.options.TextList;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;

import javax.annotation.Nullable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Makes the {@link Provenance} of an answer. */
final class Provenances {
    private Provenances() {}

    static Provenance of(Computation computation, String promptTemplateDigest, @Nullable String chatTemplateDigest) {
        return new Provenance(
                computation.modelDigest(),
                promptTemplateDigest,
                chatTemplateDigest,
                sampling(computation.sampling()),
                computation.maxTokens(),
                computation.stop(),
                computation.engine(),
                computation.labels().map(Provenances::labels).orElse(null));
    }

    private static AppliedLabels labels(LabelChoice choice) {
        return new AppliedLabels(
                Sha256.of(TextList.format(choice.labels())),
                choice.scoring().name().toLowerCase(Locale.ROOT),
                choice.calibration(),
                choice.minConfidence(),
                choice.abstainLabel());
    }

    /** Of an answer, as Avro writes records. */
    static String json(Outcome outcome) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("adapters", adapters(outcome.completion()));
        Provenance provenance = outcome.provenance();
        for (Schema.Field field : provenance.getSchema().getFields()) {
            json.put(field.name(), provenance.get(field.pos()));
        }
        if (outcome.prompt() != null) {
            json.put("prompt", outcome.prompt());
        }
        return GenericData.get().toString(json);
    }

    static List<ResolvedAdapter> adapters(CompletionResult answer) {
        return answer.adapters().stream()
                .map(adapter -> new ResolvedAdapter(adapter.name(), adapter.scale(), adapter.digest()))
                .toList();
    }

    private static AppliedSampling sampling(SamplingOptions options) {
        return new AppliedSampling(
                options.temperature(),
                options.topK(),
                options.topP(),
                options.minP(),
                options.typicalP(),
                options.mirostat(),
                options.mirostatTau(),
                options.mirostatEta(),
                options.repeatPenalty(),
                options.frequencyPenalty(),
                options.presencePenalty(),
                options.penaltyLastTokens(),
                options.seed(),
                options.logitBias().entrySet().stream()
                        .collect(Collectors.toMap(bias -> String.valueOf(bias.getKey()), Map.Entry::getValue)),
                options.grammar().isEmpty() ? null : Sha256.of(options.grammar()));
    }
}
