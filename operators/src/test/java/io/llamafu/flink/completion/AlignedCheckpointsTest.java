package io.llamafu.flink.completion;

import io.llamafu.flink.Llamafu;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;

import java.time.Duration;

import static org.assertj.core.api.Assertions.assertThat;

class AlignedCheckpointsTest {

    @Test
    void jobWithAlignedCheckpointsIsWarned() {
        Configuration aligned =
                new Configuration().set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(10));

        assertThat(AlignedCheckpoints.problem(aligned)).hasValueSatisfying(warning -> assertThat(warning)
                .contains("aligned", "execution.checkpointing.unaligned.enabled"));
    }

    @Test
    void jobWithoutCheckpointsOrWithTheRecommendedOnesIsNotWarned() {
        assertThat(AlignedCheckpoints.problem(new Configuration())).isEmpty();
        assertThat(AlignedCheckpoints.problem(Llamafu.recommended(new Configuration())))
                .isEmpty();
    }

    @Test
    void recommendationKeepsWhatIsSet() {
        Configuration own = new Configuration()
                .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(7))
                .set(CheckpointingOptions.TOLERABLE_FAILURE_NUMBER, 3);

        Configuration recommended = Llamafu.recommended(own);

        assertThat(recommended).isSameAs(own);
        assertThat(own.get(CheckpointingOptions.CHECKPOINTING_INTERVAL)).isEqualTo(Duration.ofSeconds(7));
        assertThat(own.get(CheckpointingOptions.TOLERABLE_FAILURE_NUMBER)).isEqualTo(3);
        assertThat(own.get(CheckpointingOptions.ENABLE_UNALIGNED)).isTrue();
    }
}
