-- The tables, the policies, and the functions that sign tokens.
-- psql -v secret="$(cat secret)" -f schema.sql todo

CREATE EXTENSION IF NOT EXISTS pgcrypto;

-- The role of each request of a person. It has no rights but these.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'todo_person') THEN CREATE ROLE todo_person NOLOGIN; END IF;
END $$;

CREATE TABLE people (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 40),
    password text NOT NULL
);

CREATE TABLE token_secret (value text NOT NULL);
INSERT INTO token_secret VALUES (:'secret');

-- The person of the transaction, which dunlin sets from the verified token.
CREATE FUNCTION current_person() RETURNS bigint LANGUAGE sql STABLE
    AS $$ SELECT nullif(current_setting('app.person', true), '')::bigint $$;

CREATE TABLE todos (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner  bigint NOT NULL DEFAULT current_person() REFERENCES people,
    title  text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    done   boolean NOT NULL DEFAULT false,
    shared boolean NOT NULL DEFAULT false
);
CREATE INDEX ON todos (owner);

ALTER TABLE todos ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON todos FOR SELECT TO todo_person USING (owner = current_person() OR shared);
CREATE POLICY add ON todos FOR INSERT TO todo_person WITH CHECK (owner = current_person());
CREATE POLICY change ON todos FOR UPDATE TO todo_person
    USING (owner = current_person()) WITH CHECK (owner = current_person());
CREATE POLICY remove ON todos FOR DELETE TO todo_person USING (owner = current_person());

GRANT SELECT, DELETE ON todos TO todo_person;
GRANT INSERT (title), UPDATE (title, done, shared) ON todos TO todo_person;

-- Names are for everybody, the rest of a person is not.
CREATE FUNCTION person_name(bigint) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT name FROM people WHERE id = $1 $$;

-- A JSON Web Token, signed by HS256 (RFC 7519).
CREATE FUNCTION base64url(bytea) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT translate(encode($1, 'base64'), E'+/=\n', '-_') $$;

CREATE FUNCTION token(person bigint) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT signed || '.' || base64url(hmac(signed::bytea, (SELECT value FROM token_secret)::bytea, 'sha256'))
    FROM (SELECT base64url('{"alg":"HS256","typ":"JWT"}') || '.' || base64url(convert_to(json_build_object(
        'iss', 'todo', 'aud', 'todo', 'sub', person::text, 'role', 'todo_person', 'name', person_name(person),
        'exp', floor(extract(epoch FROM now() + interval '8 hours')))::text, 'utf8')) AS signed) AS parts
$$;

CREATE FUNCTION signup(name text, password text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    person bigint;
BEGIN
    IF length(password) < 8 THEN
        RAISE EXCEPTION 'a password has 8 characters or more' USING ERRCODE = 'PT422';
    END IF;
    INSERT INTO people (name, password) VALUES (signup.name, crypt(signup.password, gen_salt('bf', 8)))
        RETURNING id INTO person;
    RETURN token(person);
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'there is a person of this name already' USING ERRCODE = 'PT409';
END $$;

CREATE FUNCTION login(name text, password text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    person bigint;
BEGIN
    SELECT id INTO person FROM people
        WHERE people.name = login.name AND people.password = crypt(login.password, people.password);
    IF person IS NULL THEN
        RAISE EXCEPTION 'the name or the password is wrong' USING ERRCODE = 'PT401';
    END IF;
    RETURN token(person);
END $$;

REVOKE EXECUTE ON FUNCTION token, signup, login FROM PUBLIC;

-- What `dunlin triggers --table todos --group todos` prints: a change says which lists it concerns.
CREATE FUNCTION "dunlin_cache_notify_todos"() RETURNS trigger LANGUAGE plpgsql AS $dunlin$
BEGIN
  PERFORM pg_notify('dunlin_cache', 'todos');
  RETURN NULL;
END
$dunlin$;
CREATE TRIGGER "dunlin_cache_notify"
  AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON todos
  FOR EACH STATEMENT EXECUTE FUNCTION "dunlin_cache_notify_todos"();
