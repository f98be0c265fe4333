package io.llamafu.flink;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.jar.JarFile;
import java.util.zip.ZipEntry;

import static org.assertj.core.api.Assertions.assertThat;

/** The jar that users install has all that a Flink distribution lacks, and nothing that it has. */
class InstalledJarIT {
    private static final Path JAR = Path.of(System.getProperty("llamafu.jar"));
    private static final List<String> ROOMS =
            List.of("io/llamafu/", "org/apache/avro/", "org/apache/flink/formats/avro/", "META-INF/");

    private static List<String> names;

    @BeforeAll
    static void listEntries() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile())) {
            names = jar.stream()
                    .filter(entry -> !entry.isDirectory())
                    .map(ZipEntry::getName)
                    .toList();
        }
    }

    @Test
    void holdsTheApiTheEngineAndTheNativeLibrary() {
        assertThat(names)
                .contains(
                        "io/llamafu/flink/Llamafu.class",
                        "io/llamafu/flink/AdapterRoute.class",
                        "io/llamafu/flink/table/LlmComplete.class",
                        "io/llamafu/flink/table/LlamafuModule.class",
                        "io/llamafu/engine/InferenceEngine.class",
                        "io/llamafu/grammar/JsonSchemaGrammar.class",
                        "io/llamafu/shaded/jackson/databind/ObjectMapper.class",
                        "io/llamafu/llamacpp/LlamaCppEngine.class",
                        "org/apache/flink/formats/avro/typeutils/AvroTypeInfo.class")
                .anyMatch(name -> name.matches("io/llamafu/native/[^/]+/libllamafu\\.so"))
                .anyMatch(name -> name.matches("io/llamafu/native/[^/]+/build\\.properties"));
    }

    @Test
    void announcesTheEngine() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile());
                InputStream service =
                        jar.getInputStream(jar.getJarEntry("META-INF/services/io.llamafu.engine.EngineProvider"))) {
            assertThat(new String(service.readAllBytes(), StandardCharsets.UTF_8))
                    .contains("io.llamafu.llamacpp.LlamaCppEngineProvider");
        }
    }

    /** For LOAD MODULE and CREATE MODEL; and no other factory, such as Avro's as a table format. */
    @Test
    void announcesTheModuleAndTheModelProvider() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile());
                InputStream service = jar.getInputStream(
                        jar.getJarEntry("META-INF/services/org.apache.flink.table.factories.Factory"))) {
            assertThat(new String(service.readAllBytes(), StandardCharsets.UTF_8).lines())
                    .containsExactlyInAnyOrder(
                            "io.llamafu.flink.table.LlamafuModuleFactory",
                            "io.llamafu.flink.table.LlamafuModelProviderFactory");
        }
    }

    /** No Flink but flink-avro, which no distribution has and which cannot be renamed; all else is ours or relocated. */
    @Test
    void bringsNothingThatOthersCouldSee() {
        assertThat(names)
                .allMatch(name -> ROOMS.stream().anyMatch(name::startsWith))
                .filteredOn(name -> name.startsWith("META-INF/services/"))
                .containsExactlyInAnyOrder(
                        "META-INF/services/io.llamafu.engine.EngineProvider",
                        "META-INF/services/org.apache.flink.table.factories.Factory");
    }

    @Test
    void classesSeeTheRelocatedJackson() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile())) {
            for (String name : names) {
                try (InputStream content = jar.getInputStream(jar.getJarEntry(name))) {
                    if (name.endsWith(".class")) {
                        assertThat(new String(content.readAllBytes(), StandardCharsets.ISO_8859_1))
                                .as(name)
                                .doesNotContain("com/fasterxml");
                    }
                }
            }
        }
    }

    @Test
    void isSmall() throws IOException {
        assertThat(Files.size(JAR)).as("bytes").isLessThan(10_000_000);
    }

    /** Savepoints survive a new field of a record only with Avro's own serializer. */
    @Test
    void recordsOfTheJarHaveAvroSerializers() throws Exception {
        URL[] jar = {JAR.toUri().toURL()};
        try (URLClassLoader loader = new URLClassLoader(jar, TypeInformation.class.getClassLoader())) {
            Class<?> route = Class.forName("io.llamafu.flink.AdapterRoute", true, loader);
            assertThat(TypeInformation.of(route).getClass().getName())
                    .isEqualTo("org.apache.flink.formats.avro.typeutils.AvroTypeInfo");
        }
    }
}
