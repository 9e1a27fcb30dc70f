package dev.eventfold;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.SerializerProvider;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.introspect.AnnotatedMember;
import com.fasterxml.jackson.databind.introspect.AnnotatedParameter;
import com.fasterxml.jackson.databind.introspect.JacksonAnnotationIntrospector;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.ser.std.StdSerializer;
import com.fasterxml.jackson.databind.type.LogicalType;
import com.fasterxml.jackson.datatype.jdk8.Jdk8Module;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import dev.eventfold.errors.StateMismatchException;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/** How JSON is read and written: exactly, or not at all. */
final class JsonMapping {
    // Data of an event is 1 MiB at most, a state 3 MiB, and all of it may be one number.
    private static final int NUMBER_CHARACTERS_MAX = 3 << 20;

    private static final Set<Class<?>> OPTIONALS =
            Set.of(Optional.class, OptionalInt.class, OptionalLong.class, OptionalDouble.class);

    private JsonMapping() {}

    static ObjectMapper mapper() {
        StreamReadConstraints room =
                StreamReadConstraints.builder().maxNumberLength(NUMBER_CHARACTERS_MAX).build();
        SimpleModule exact = new SimpleModule();
        exact.addSerializer(Double.class, new Finite<>(Double.class));
        exact.addSerializer(Double.TYPE, new Finite<>(Double.class));
        exact.addSerializer(Float.class, new Finite<>(Float.class));
        exact.addSerializer(Float.TYPE, new Finite<>(Float.class));
        JsonMapper mapper =
                JsonMapper.builder(JsonFactory.builder().streamReadConstraints(room).build())
                        .addModules(new Jdk8Module(), new JavaTimeModule(), exact)
                        .annotationIntrospector(new Components())
                        .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
                        .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
                        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                        .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
                        .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
                        .disable(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES)
                        .disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS)
                        .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
                        .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
                        .build();
        mapper.coercionConfigFor(LogicalType.Integer)
                .setCoercion(CoercionInputShape.Float, CoercionAction.Fail);
        return mapper;
    }

    /** Where in a value the fault is. */
    static String path(JacksonException error) {
        StringBuilder path = new StringBuilder();
        if (error instanceof JsonMappingException mapping) {
            for (JsonMappingException.Reference step : mapping.getPath()) {
                if (step.getFieldName() == null) {
                    path.append('[').append(step.getIndex()).append(']');
                } else {
                    path.append(path.isEmpty() ? "" : ".").append(step.getFieldName());
                }
            }
        }
        return path.toString();
    }

    /** The error of JSON that does not fit. It names types, never values, so not Jackson's text. */
    static StateMismatchException mismatch(JavaType type, IOException error) {
        String path = error instanceof JacksonException told ? path(told) : "";
        String problem = "no JSON that can be read";
        if (error instanceof MismatchedInputException mismatched) {
            Class<?> wanted = mismatched.getTargetType();
            problem = "no " + (wanted == null ? "value of the type" : wanted.getSimpleName());
        } else if (error instanceof JsonMappingException) {
            problem = "no value that the class takes";
        }
        return mismatch(type, path, problem, error);
    }

    static StateMismatchException mismatch(
            JavaType type, String path, String problem, IOException error) {
        String model = type.getRawClass().getName();
        String place = path.isEmpty() ? "the whole" : path;
        StateMismatchException told =
                new StateMismatchException(
                        "the JSON is no " + model + ": " + place + ": " + problem,
                        Map.of("model", model, "path", path, "problem", problem));
        // Not as the cause: its text has values.
        if (error != null) {
            told.setStackTrace(error.getStackTrace());
        }
        return told;
    }

    /** Components of records must be there, unless they are optional. */
    private static final class Components extends JacksonAnnotationIntrospector {
        private static final long serialVersionUID = 1;

        @Override
        public Boolean hasRequiredMarker(AnnotatedMember member) {
            boolean isComponent =
                    member instanceof AnnotatedParameter
                            && member.getDeclaringClass().isRecord()
                            && member.getAnnotation(JsonProperty.class) == null;
            if (isComponent) {
                return !OPTIONALS.contains(member.getRawType());
            }
            return super.hasRequiredMarker(member);
        }
    }

    /** Doubles that JSON has: neither NaN nor infinity. */
    private static final class Finite<T extends Number> extends StdSerializer<T> {
        private static final long serialVersionUID = 1;

        Finite(Class<T> type) {
            super(type);
        }

        @Override
        public void serialize(T value, JsonGenerator out, SerializerProvider provider)
                throws IOException {
            if (!Double.isFinite(value.doubleValue())) {
                throw JsonMappingException.from(out, "a number that JSON has not");
            }
            if (value instanceof Float single) {
                out.writeNumber(single);
            } else {
                out.writeNumber(value.doubleValue());
            }
        }
    }
}
