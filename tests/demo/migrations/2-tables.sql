-- The tables belong to a role of their own, which neither logs in nor provisions anything.
CREATE ROLE clinic_owner NOLOGIN;
GRANT CREATE, USAGE ON SCHEMA public TO clinic_owner;
SET ROLE clinic_owner;

CREATE TABLE public.patients (id integer PRIMARY KEY, name text NOT NULL, visible boolean NOT NULL);
CREATE TABLE public.encounters (id integer PRIMARY KEY, patient_id integer NOT NULL REFERENCES public.patients, reason text NOT NULL);
CREATE TABLE public.refresh_tokens (id integer PRIMARY KEY, token text NOT NULL);
CREATE TABLE public.local_secrets (key text PRIMARY KEY, value text NOT NULL);

INSERT INTO public.patients VALUES (1, 'Ana', true), (2, 'Ben', true), (3, 'Chidi', false);
INSERT INTO public.encounters VALUES (1, 1, 'fever'), (2, 1, 'check-up'), (3, 2, 'fracture');
INSERT INTO public.refresh_tokens VALUES (1, 'let-me-in');
INSERT INTO public.local_secrets VALUES ('device', 'private key');

ALTER TABLE public.patients ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible_patients ON public.patients FOR SELECT TO authenticated USING (visible);
GRANT SELECT ON public.patients TO anonymous, authenticated, administrator;
RESET ROLE;
