package io.llamafu.docs;

import io.llamafu.testing.ArchitectureModel;
import org.junit.jupiter.api.Test;

import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;

/** {@code docs/models.md} has a row for every family; the tests of architectures compare their cells. */
class ModelsGuideTest {
    @Test
    void everyFamilyHasARowAndNoRowIsOfAnother() {
        assertThat(ModelsGuide.rows())
                .containsOnlyKeys(Arrays.stream(ArchitectureModel.values())
                        .map(ModelsGuide::familyOf)
                        .toList());
    }

    @Test
    void rowsNameTheArchitecture() {
        for (ArchitectureModel model : ArchitectureModel.values()) {
            ModelsGuide.assertSays(model, ModelsGuide.Column.ARCHITECTURE, "`" + model.architecture() + "`");
        }
    }
}
