package io.llamafu.examples;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.jar.JarFile;
import java.util.zip.ZipEntry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** What every jar that is published must say. */
class PublishedJarsIT {
    private static final Path ROOT =
            Path.of(System.getProperty("llamafu.examples")).getParent();
    private static final String VERSION = System.getProperty("llamafu.version");

    @ParameterizedTest
    @CsvSource({
        "native, llamafu-native",
        "native/java-llama-cpp, llamafu-java-llama-cpp",
        "native/peft, llamafu-peft",
        "operators, llamafu-flink-operators",
        "flink-llamafu-connector, flink-llamafu-connector"
    })
    void holdsTheLicenceAndOurNotice(String module, String artifact) throws IOException {
        Path path = ROOT.resolve(module).resolve("target").resolve(artifact + "-" + VERSION + ".jar");
        assumeTrue(
                Files.exists(path) || !artifact.equals("llamafu-java-llama-cpp"),
                "The examples do not depend on it, so a build of them alone does not package it.");

        try (JarFile jar = new JarFile(path.toFile())) {
            assertThat(text(jar, "META-INF/LICENSE")).isEqualTo(Files.readString(ROOT.resolve("LICENSE")));
            assertThat(text(jar, "META-INF/NOTICE")).startsWith(Files.readString(ROOT.resolve("NOTICE")));
        }
    }

    private static String text(JarFile jar, String name) throws IOException {
        ZipEntry entry = jar.getEntry(name);
        assertThat(entry).as("%s of %s", name, jar.getName()).isNotNull();
        try (InputStream content = jar.getInputStream(entry)) {
            return new String(content.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
