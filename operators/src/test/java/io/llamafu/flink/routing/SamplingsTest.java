package io.llamafu.flink.routing;

import io.llamafu.engine.SamplingOptions;
import org.junit.jupiter.api.Test;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

class SamplingsTest {

    @Test
    void everyOptionTravels() {
        SamplingOptions options = SamplingOptions.builder()
                .temperature(0.7f)
                .topK(7)
                .topP(0.8f)
                .minP(0.1f)
                .typicalP(0.9f)
                .mirostat(4, 0.2f)
                .repeatPenalty(1.2f)
                .frequencyPenalty(0.3f)
                .presencePenalty(0.4f)
                .penaltyLastTokens(-1)
                .seed(11)
                .logitBias(Map.of(3, 1.5f, 4, Float.NEGATIVE_INFINITY))
                .grammar("root ::= \"yes\"")
                .build();

        assertThat(Samplings.toOptions(Samplings.toAvro(options))).isEqualTo(options);
        assertThat(Samplings.toOptions(Samplings.toAvro(SamplingOptions.greedy())))
                .isEqualTo(SamplingOptions.greedy());
    }

    /** A component that the record has and the Avro form lacks would be lost silently. */
    @Test
    void noOptionIsForgotten() {
        assertThat(RequestSampling.getClassSchema().getFields())
                .hasSameSizeAs(SamplingOptions.class.getRecordComponents());
    }
}
