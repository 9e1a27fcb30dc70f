package dev.eventfold;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.ByteString;
import dev.eventfold.errors.InvalidValueException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Objects;

/**
 * JSON as it travels: its bytes, which are always there as they came, and what they decode to when
 * that is asked for.
 *
 * <p>Numbers are exact: one with a fraction or an exponent becomes a {@code BigDecimal} with all of
 * its digits, a whole one an {@code int}, {@code long} or {@code BigInteger}, whichever holds it. A
 * whole number that the field of a class cannot hold is an error, and so is a fraction for a field
 * of whole numbers. A field of type {@code double} takes the nearest double: declare
 * {@code BigDecimal} where cents matter.
 */
public final class Json {
    static final ObjectMapper MAPPER = JsonMapping.mapper();

    /** The JSON value {@code null}. */
    public static final Json NULL = new Json(ByteString.copyFromUtf8("null"));

    /** The object without members. */
    public static final Json EMPTY = new Json(ByteString.copyFromUtf8("{}"));

    private final ByteString bytes;

    private Json(ByteString bytes) {
        this.bytes = bytes;
    }

    static Json of(ByteString bytes) {
        return new Json(bytes);
    }

    ByteString wire() {
        return bytes;
    }

    /** JSON that is text already. It is sent as it is; the server checks it. */
    public static Json of(String text) {
        return new Json(ByteString.copyFromUtf8(text));
    }

    /** JSON that is UTF-8 already. It is sent as it is; the server checks it. */
    public static Json of(byte[] utf8) {
        return new Json(ByteString.copyFrom(utf8));
    }

    /**
     * The JSON of a value: a record or another class, a map, a {@link JsonNode}, or what is JSON
     * already.
     *
     * @throws InvalidValueException it has no JSON, such as NaN
     */
    public static Json encode(Object value) {
        if (value instanceof Json json) {
            return json;
        }
        try {
            return of(MAPPER.writeValueAsBytes(value));
        } catch (JacksonException error) {
            String problem = error.getOriginalMessage();
            InvalidValueException told =
                    new InvalidValueException(
                            "a value that has no JSON: " + problem,
                            Map.of("path", JsonMapping.path(error), "problem", problem));
            told.initCause(error);
            throw told;
        }
    }

    /** Its text. */
    public String text() {
        return bytes.toStringUtf8();
    }

    /** Its UTF-8, a copy. */
    public byte[] bytes() {
        return bytes.toByteArray();
    }

    /** Its UTF-8, as a buffer that cannot be written to. */
    public ByteBuffer buffer() {
        return bytes.asReadOnlyByteBuffer();
    }

    /** Whether it is {@code null}. */
    public boolean isNull() {
        return bytes.equals(NULL.bytes);
    }

    /**
     * It as a tree.
     *
     * @throws dev.eventfold.errors.StateMismatchException it is no JSON
     */
    public JsonNode node() {
        return as(JsonNode.class);
    }

    /**
     * It as an object of a class: a record, a bean, a map, {@link JsonNode}, or {@link Json}, which
     * is it itself. Members that the class has not are passed by; a component of a record that is
     * no {@code Optional} must be there.
     *
     * @throws dev.eventfold.errors.StateMismatchException it does not fit the class
     */
    public <T> T as(Class<T> type) {
        if (type == Json.class) {
            return type.cast(this);
        }
        return decode(MAPPER.constructType(type));
    }

    /**
     * It as an object of a type with parameters: {@code new TypeReference<List<Item>>() {}}.
     *
     * @throws dev.eventfold.errors.StateMismatchException it does not fit the type
     */
    public <T> T as(TypeReference<T> type) {
        return decode(MAPPER.constructType(type.getType()));
    }

    private <T> T decode(JavaType type) {
        try {
            T found = MAPPER.readValue(bytes.newInput(), type);
            if (found == null) {
                throw JsonMapping.mismatch(type, "", "there is none", null);
            }
            return found;
        } catch (IOException error) {
            throw JsonMapping.mismatch(type, error);
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Json json && bytes.equals(json.bytes);
    }

    @Override
    public int hashCode() {
        return Objects.hashCode(bytes);
    }

    @Override
    public String toString() {
        return bytes.toString(StandardCharsets.UTF_8);
    }
}
